#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>
#include <maskgrad/train/report/report_words.hpp>

namespace maskgrad {
namespace {

using Values = std::map<double, double>;

std::string end_with(const std::vector<std::string>& names) {
  return listed(names) + (names.size() == 1 ? " ends" : " end");
}

/// Of the last whole epoch, or else of a part of the first, with the steps it is the mean of; ""
/// where there is none.
std::string last_in_training(const ReportRun& run, const std::string& metric) {
  const TrainingFigures figures = training_figures(run, metric);
  const auto last = last_of(figures.values);
  return last ? format_number(*last) + mean_of_steps(figures.steps_in_part) : "";
}

/// "with loss 1.4381 and accuracy 0.5685 on validation data, and loss 0.9929 and accuracy 0.6655 in
/// training." A single metric is named once. One that is 0 in both says nothing.
std::string beside_training(const ReportContent& content, const ReportRun& run) {
  std::vector<std::string> names, held_out, trained;
  for (const std::string& metric : report_metrics(content)) {
    const auto validation = last_in_validation(run, metric);
    const std::string training = last_in_training(run, metric);
    if (!validation || training.empty()) continue;
    if (*validation == 0 && training == format_number(0)) continue;
    names.push_back(metric);
    held_out.push_back(metric + " " + format_number(*validation));
    trained.push_back(training);
  }
  if (names.empty()) return "";
  if (names.size() > 1) {
    for (std::size_t i = 0; i < names.size(); ++i) trained[i] = names[i] + " " + trained[i];
  }
  return fmt::format("with {} on validation data, and {} in training.", listed(held_out),
                     listed(trained));
}

/// Where the loss on validation data was smallest, if it has grown since.
std::string after_the_best(const ReportRun& run, const std::string& loss) {
  const auto last = last_in_validation(run, loss);
  if (!run.best || !last || !(*last > run.best->loss)) return "";
  return fmt::format(
      " The validation {} was smallest after step {}, {}, and has grown by {} since: "
      "best.safetensors holds the weights of that step.",
      loss, with_commas(run.best->step), format_number(run.best->loss),
      format_number(*last - run.best->loss));
}

std::vector<std::string> about_validation(const ReportContent& content,
                                          const std::vector<std::string>& metrics) {
  std::vector<std::string> sentences, without, elsewhere;
  Shared ends;
  for (const ReportRun& run : content.runs) {
    const std::string text = beside_training(content, run);
    if (text.empty() && !run.held_out.empty()) {
      elsewhere.push_back(
          fmt::format("No figure of {} here is held out. {}", run.name, run.held_out));
    } else if (text.empty()) {
      without.push_back(run.name);
    } else {
      ends.add(text + after_the_best(run, metrics.front()), run.name);
    }
  }
  ends.each([&](const std::string& text, const std::vector<std::string>& names) {
    sentences.push_back(end_with(names) + " " + text);
  });
  if (!without.empty()) {
    sentences.push_back(fmt::format(
        "No figure of {} is held out: all are of the samples that {} trained on, which say little "
        "about others.",
        listed(without), without.size() == 1 ? "it was" : "these runs were"));
  }
  std::ranges::copy(elsewhere, std::back_inserter(sentences));
  return sentences;
}

/// How many values of `curve` lie below, within and above the band.
struct InBand {
  std::size_t below = 0, within = 0, above = 0, all = 0;

  InBand(const Values& curve, const ReferenceBand& band) {
    for (const auto& [epoch, value] : curve) {
      const auto size = static_cast<double>(band.low.size());
      if (epoch != std::floor(epoch) || epoch < 1 || epoch > size) continue;
      const auto place = static_cast<std::size_t>(epoch) - 1;
      ++all;
      below += value < band.low[place] ? 1U : 0U;
      above += value > band.high[place] ? 1U : 0U;
      within += value >= band.low[place] && value <= band.high[place] ? 1U : 0U;
    }
  }

  /// "below all of them in 9 of 10 epochs and within their range in 1".
  std::string text() const {
    std::vector<std::string> parts;
    for (const auto& [count, where] : {std::pair(below, "below all of them"),
                                       {within, "within their range"},
                                       {above, "above all of them"}}) {
      if (count == 0) continue;
      if (count == all) return fmt::format("{} in {}", where, every());
      const bool is_first = parts.empty();
      parts.push_back(fmt::format("{} in {}{}", where, count,
                                  is_first ? fmt::format(" of {} epochs", all) : ""));
    }
    return parts.empty() ? "nowhere, as no figure is finite" : listed(parts);
  }

 private:
  std::string every() const {
    return all == 1 ? std::string("the one epoch") : fmt::format("all {} epochs", all);
  }
};

/// "0.1105 above article (epoch 10)".
std::string distance(const ReportRun& run, const ReferenceCurve& curve) {
  const Values ours = values_of(run, curve.metric), theirs = values_of(curve);
  for (auto at = ours.rbegin(); at != ours.rend(); ++at) {
    const auto other = theirs.find(at->first);
    if (other == theirs.end()) continue;
    const double difference = at->second - other->second;
    if (!std::isfinite(difference)) return "";
    const std::string place = fmt::format("{} (epoch {})", curve.name, epochs_text(at->first));
    if (difference == 0) return "level with " + place;
    return fmt::format("{} {} {}", format_number(std::abs(difference)),
                       difference > 0 ? "above" : "below", place);
  }
  return "";
}

/// How the reference and its runs lie among runs of other seeds; "" where nothing is known of such.
std::string about_band(const ReportContent& content, const ReferenceCurve& curve) {
  const ReferenceBand& band = curve.band;
  if (band.low.empty() || band.low.size() != band.high.size()) return "";
  std::string text = fmt::format(" {} end between {} and {}. {} lies {}.", band.name,
                                 format_number(band.low.back()), format_number(band.high.back()),
                                 curve.name, InBand(values_of(curve), band).text());
  Shared places;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    const InBand place(values_of(content.runs[i], curve.metric), band);
    if (is_comparable(curve, i) && place.all > 0) places.add(place.text(), content.runs[i].name);
  }
  places.each([&](const std::string& place, const std::vector<std::string>& names) {
    text += fmt::format(" {} {} {}.", listed(names), names.size() == 1 ? "lies" : "lie", place);
  });
  return text;
}

std::vector<std::string> about_references(const ReportContent& content) {
  std::vector<std::string> sentences;
  for (const ReferenceCurve& curve : content.references) {
    Shared distances;
    for (std::size_t i = 0; i < content.runs.size(); ++i) {
      if (!is_comparable(curve, i)) continue;
      const std::string text = distance(content.runs[i], curve);
      if (!text.empty()) distances.add(text, content.runs[i].name);
    }
    std::vector<std::string> parts;
    distances.each([&](const std::string& text, const std::vector<std::string>& names) {
      parts.push_back(end_with(names) + " " + text);
    });
    if (parts.empty()) continue;
    sentences.push_back(fmt::format("In training {}, {}.{}", curve.metric, in_turn(parts),
                                    about_band(content, curve)));
  }
  return sentences;
}

}  // namespace

std::string conclusions(const ReportContent& content) {
  const std::vector<std::string> metrics = report_metrics(content);
  const bool has_epochs =
      std::ranges::any_of(content.runs, [](const ReportRun& run) { return !run.epochs.empty(); });
  if (metrics.empty() || !has_epochs) return "";
  std::string items;
  const auto add = [&](const std::vector<std::string>& sentences) {
    for (const std::string& text : sentences) items += "<li>" + escape_html(text) + "</li>\n";
  };
  if (content.runs.size() > 1) add(about_runs(content, metrics));
  add(about_validation(content, metrics));
  add(about_references(content));
  return items.empty() ? "" : "<ul class=\"conclusions\">\n" + items + "</ul>\n";
}

std::string reference_notes(const ReportContent& content) {
  std::string notes;
  for (const ReferenceCurve& curve : content.references) {
    if (curve.about.empty()) continue;
    const std::string link = curve.link.starts_with("https://")
                                 ? fmt::format(" <a href=\"{0}\">{0}</a>", escape_html(curve.link))
                                 : "";
    notes += fmt::format("<p class=\"note\">{}: {}{}</p>\n", escape_html(curve.name),
                         escape_html(curve.about), link);
  }
  return notes;
}

}  // namespace maskgrad
