#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>

namespace maskgrad {
namespace {

using Values = std::map<double, double>;

/// A run's last value of a metric, where it is finite.
struct LastValue {
  std::string run;
  double value;
};

std::optional<double> last_of(const Values& values) {
  if (values.empty() || !std::isfinite(values.rbegin()->second)) return std::nullopt;
  return values.rbegin()->second;
}

Values values_of(const ReportRun& run, const std::string& metric, bool in_validation) {
  if (!in_validation) return values_of(run, metric);
  const auto* values = validation_of(run, metric);
  return values == nullptr ? Values() : *values;
}

/// "a, b and c".
std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? " and " : ", ";
    list += words[i];
  }
  return list;
}

/// Names of the runs that have the same to be said of them, in the order of their first.
class Shared {
 public:
  void add(const std::string& text, const std::string& run) {
    auto place = std::ranges::find(all_, text, &Said::first);
    if (place == all_.end()) place = all_.insert(place, {text, {}});
    place->second.push_back(run);
  }
  /// f(text, names) for each text.
  template <class F>
  void each(F f) const {
    for (const auto& [text, names] : all_) f(text, names);
  }

 private:
  using Said = std::pair<std::string, std::vector<std::string>>;
  std::vector<Said> all_;
};

std::string end_with(const std::vector<std::string>& names) {
  return listed(names) + (names.size() == 1 ? " ends" : " end");
}

/// "with loss 1.4381 and accuracy 0.5685 on validation data, and 0.9929 and 0.6655 in training."
std::string beside_training(const ReportContent& content, const ReportRun& run) {
  std::vector<std::string> held_out, trained;
  for (const std::string& metric : report_metrics(content)) {
    const auto validation = last_of(values_of(run, metric, true));
    const auto training = last_of(values_of(run, metric, false));
    if (!validation || !training) continue;
    held_out.push_back(metric + " " + format_number(*validation));
    trained.push_back(format_number(*training));
  }
  if (held_out.empty()) return "";
  return fmt::format("with {} on validation data, and {} in training.", listed(held_out),
                     listed(trained));
}

/// Where the loss on validation data was smallest, if it has grown since.
std::string after_the_best(const ReportRun& run, const std::string& loss) {
  const auto last = last_of(values_of(run, loss, true));
  if (!run.best || !last || !(*last > run.best->loss)) return "";
  return fmt::format(
      " The validation {} was smallest after step {}, {}, and has grown by {} since: "
      "best.safetensors holds the weights of that step.",
      loss, with_commas(run.best->step), format_number(run.best->loss),
      format_number(*last - run.best->loss));
}

std::vector<std::string> about_validation(const ReportContent& content,
                                          const std::vector<std::string>& metrics) {
  std::vector<std::string> sentences, without;
  Shared ends;
  for (const ReportRun& run : content.runs) {
    const std::string text = beside_training(content, run);
    if (text.empty()) {
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
  return sentences;
}

/// "key is first, query and none are 0.0129 behind".
std::string ranking(std::vector<LastValue> all, bool larger_is_better) {
  std::ranges::stable_sort(all, [&](const LastValue& a, const LastValue& b) {
    return larger_is_better ? a.value > b.value : a.value < b.value;
  });
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < all.size();) {
    std::vector<std::string> names;
    const double value = all[i].value;
    for (; i < all.size() && all[i].value == value; ++i) names.push_back(all[i].run);
    std::string text = fmt::format("{} {}", listed(names), format_number(value));
    if (!groups.empty()) {
      text += fmt::format(" ({})", format_difference(value - all.front().value));
    }
    groups.push_back(text);
  }
  return groups.size() == 1 ? "the same for " + groups.front() : listed(groups);
}

/// The settings whose values are not the same in all runs.
std::vector<std::string> differing_settings(const ReportContent& content) {
  std::vector<std::string> keys;
  const auto value_of = [](const ReportRun& run, const std::string& key) {
    const auto found = std::ranges::find(run.settings, key, [](const auto& s) { return s.first; });
    return found == run.settings.end() ? std::string() : found->second;
  };
  for (const ReportRun& run : content.runs) {
    for (const auto& [key, value] : run.settings) {
      const bool differs = std::ranges::any_of(
          content.runs, [&](const ReportRun& other) { return value_of(other, key) != value; });
      if (differs && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

std::string what_differs(const ReportContent& content) {
  const std::vector<std::string> keys = differing_settings(content);
  if (keys.empty()) return "The settings of the runs are equal.";
  std::string text = fmt::format("The runs differ in {}.", listed(keys));
  if (keys.size() > 1 || keys.front() != "seed") {
    text +=
        " Where there is one run of each kind, a difference may be that of their random "
        "numbers: runs of several seeds tell.";
  }
  return text;
}

/// How the runs end beside each other: on validation data where two have some, else in training.
std::vector<std::string> about_runs(const ReportContent& content,
                                    const std::vector<std::string>& metrics) {
  std::vector<std::string> sentences;
  for (const std::string& metric : metrics) {
    if (metric != metrics.front() && !is_share(metric)) continue;  // what is better is not known
    for (const bool in_validation : {true, false}) {
      std::vector<LastValue> all;
      for (const ReportRun& run : content.runs) {
        if (const auto last = last_of(values_of(run, metric, in_validation))) {
          all.push_back({run.name, *last});
        }
      }
      if (all.size() < 2) continue;
      sentences.push_back(fmt::format("{} {} at the end, the best first: {}.",
                                      in_validation ? "Validation" : "Training", metric,
                                      ranking(all, is_share(metric))));
      break;
    }
  }
  if (!sentences.empty()) sentences.push_back(what_differs(content));
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

  std::string text() const {
    std::vector<std::string> parts;
    for (const auto& [count, where] :
         {std::pair(below, "below"), {within, "among"}, {above, "above"}}) {
      if (count > 0) parts.push_back(fmt::format("{} them in {}", where, count));
    }
    if (parts.empty()) return "in none of these epochs";
    return fmt::format("{} of {} epochs", listed(parts), all);
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
  std::string text = fmt::format(" {} end between {} and {}: {} lies {}", band.name,
                                 format_number(band.low.back()), format_number(band.high.back()),
                                 curve.name, InBand(values_of(curve), band).text());
  Shared places;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    const InBand place(values_of(content.runs[i], curve.metric), band);
    if (is_comparable(curve, i) && place.all > 0) places.add(place.text(), content.runs[i].name);
  }
  places.each([&](const std::string& place, const std::vector<std::string>& names) {
    text += fmt::format(", {} {}", listed(names), place);
  });
  return text + ".";
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
    sentences.push_back(fmt::format("In training {}, {}.{}", curve.metric, listed(parts),
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
