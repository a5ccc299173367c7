#include <algorithm>
#include <cmath>

#include <maskgrad/layers/generate/beam.hpp>
#include <maskgrad/layers/generate/next_logits.hpp>
#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "beam_search";

struct Beam {
  Tokens all;  // the prompt's first
  double log_probability = 0;
};

// A beam with one token more.
struct Candidate {
  double log_probability;
  std::size_t beam;
  std::int64_t token;

  bool operator<(const Candidate& other) const {
    if (log_probability != other.log_probability) return log_probability > other.log_probability;
    return beam != other.beam ? beam < other.beam : token < other.token;
  }
};

// The search behind one prompt.
class Search {
 public:
  Search(const Tokens& prompt, const BeamOptions& options)
      : options_(options), prompt_(std::ssize(prompt)), beams_({{prompt}}) {}

  const std::vector<Beam>& beams() const { return beams_; }

  // Goes on from the beams, whose logits these are. Returns the beam that each new one was.
  std::vector<std::size_t> step(std::span<const Tensor> logits) {
    std::vector<Beam> next;
    std::vector<std::size_t> from;
    for (const Candidate& best : best_of(logits)) {
      Beam beam = {beams_[best.beam].all, best.log_probability};
      beam.all.push_back(best.token);
      if (is_stop(best.token)) {
        end(beam);
      } else {
        next.push_back(std::move(beam));
        from.push_back(best.beam);
      }
    }
    beams_ = std::move(next);
    return from;
  }

  // All sequences, those that have not ended behind those that have.
  std::vector<Hypothesis> finish() && {
    for (const Beam& beam : beams_) end(beam);
    std::stable_sort(ended_.begin(), ended_.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    return std::move(ended_);
  }

 private:
  std::vector<Candidate> best_of(std::span<const Tensor> logits) const {
    std::vector<Candidate> all;
    for (std::size_t b = 0; b < beams_.size(); ++b) {
      const std::vector<double> more = log_probabilities(logits[b]);
      for (std::size_t token = 0; token < more.size(); ++token) {
        const double sum = beams_[b].log_probability + more[token];
        if (std::isfinite(sum)) all.push_back({sum, b, static_cast<std::int64_t>(token)});
      }
    }
    const std::int64_t count = std::min(std::ssize(all), options_.beams - std::ssize(ended_));
    std::partial_sort(all.begin(), all.begin() + count, all.end());
    all.erase(all.begin() + count, all.end());
    return all;
  }

  bool is_stop(std::int64_t token) const {
    return std::find(options_.stop.begin(), options_.stop.end(), token) != options_.stop.end();
  }

  void end(const Beam& beam) {
    Tokens tokens(beam.all.begin() + prompt_, beam.all.end());
    const double length = static_cast<double>(tokens.size());
    const double penalty = std::pow((5 + length) / 6, options_.length_penalty);
    ended_.push_back({std::move(tokens), beam.log_probability, beam.log_probability / penalty});
  }

  const BeamOptions& options_;
  std::ptrdiff_t prompt_;
  std::vector<Beam> beams_;  // the most probable first
  std::vector<Hypothesis> ended_;
};

// One token more for each beam of each search.
void step(std::vector<Search>& searches, NextLogits& next) {
  std::vector<const Tokens*> all;
  for (const Search& search : searches) {
    for (const Beam& beam : search.beams()) all.push_back(&beam.all);
  }
  const std::vector<Tensor> logits = next(all);
  std::vector<std::int64_t> from;
  std::size_t first = 0;
  for (Search& search : searches) {
    const std::size_t count = search.beams().size();
    for (const std::size_t beam : search.step(std::span(logits).subspan(first, count))) {
      from.push_back(static_cast<std::int64_t>(first + beam));
    }
    first += count;
  }
  next.select(from);
}

void check_options(const BeamOptions& options) {
  check(options.beams >= 1, kName, "beams must be at least 1, got {}", options.beams);
  check(options.length_penalty >= 0 && std::isfinite(options.length_penalty), kName,
        "length_penalty must be finite and at least 0, got {}", options.length_penalty);
}

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(const LanguageModel& model,
                                                 std::span<const Tokens> prompts,
                                                 const BeamOptions& options) {
  check_options(options);
  const NoGrad no_grad;
  NextLogits next(kName, model, prompts, options.tokens, options.cache);
  std::vector<Search> searches;
  for (const Tokens& prompt : prompts) searches.emplace_back(prompt, options);
  const auto go_on = [&] {
    return std::any_of(searches.begin(), searches.end(),
                       [](const Search& search) { return !search.beams().empty(); });
  };
  for (std::int64_t t = 0; t < options.tokens && go_on(); ++t) step(searches, next);
  std::vector<std::vector<Hypothesis>> found;
  for (Search& search : searches) found.push_back(std::move(search).finish());
  return found;
}

}  // namespace maskgrad
