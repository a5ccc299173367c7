#include <algorithm>

#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/generate/next_logits.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "generate";
constexpr std::uint64_t kSamples = std::uint64_t{1} << 32;  // from 0 on

// A prompt and what was made behind it.
struct Sequence {
  std::size_t prompt;
  Tokens all;
  bool goes_on = true;
};

class Generation {
 public:
  Generation(const LanguageModel& model, std::span<const Tokens> prompts,
             const GenerateOptions& options)
      : options_(options), next_(kName, model, prompts, options.tokens, options.cache) {
    check_options(options.sample);
    check(prompts.size() <= kSamples - options.first_sample, kName,
          "{} prompts from sample {} on go beyond sample {}", prompts.size(), options.first_sample,
          kSamples - 1);
    for (std::size_t i = 0; i < prompts.size(); ++i) sequences_.push_back({i, prompts[i]});
    made_.resize(prompts.size());
  }

  std::vector<Tokens> run() && {
    const NoGrad no_grad;
    for (std::int64_t t = 0; t < options_.tokens && !sequences_.empty(); ++t) {
      if (!step()) break;
      drop_ended();
    }
    return std::move(made_);
  }

 private:
  // One more token for each sequence. False when nothing more is wanted.
  bool step() {
    std::vector<const Tokens*> all;
    for (const Sequence& s : sequences_) all.push_back(&s.all);
    const std::vector<Tensor> logits = next_(all);
    for (std::size_t b = 0; b < sequences_.size(); ++b) {
      if (!add(sequences_[b], logits[b])) return false;
    }
    return true;
  }

  bool add(Sequence& s, const Tensor& logits) {
    const Tokens& made = made_[s.prompt];
    Random random(options_.seed, options_.first_sample + static_cast<std::uint32_t>(s.prompt),
                  made.size());
    const std::int64_t token = sample_token(logits, options_.sample, random.uniform());
    s.all.push_back(token);
    made_[s.prompt].push_back(token);
    s.goes_on =
        std::find(options_.stop.begin(), options_.stop.end(), token) == options_.stop.end() &&
        (!options_.stop_when || !options_.stop_when(made_[s.prompt]));
    return !options_.on_token || options_.on_token(s.prompt, token);
  }

  void drop_ended() {
    std::vector<Sequence> left;
    std::vector<std::int64_t> from;
    for (std::size_t b = 0; b < sequences_.size(); ++b) {
      if (!sequences_[b].goes_on) continue;
      from.push_back(static_cast<std::int64_t>(b));
      left.push_back(std::move(sequences_[b]));
    }
    sequences_ = std::move(left);
    next_.select(from);
  }

  const GenerateOptions& options_;
  NextLogits next_;
  std::vector<Sequence> sequences_;
  std::vector<Tokens> made_;
};

}  // namespace

std::vector<Tokens> generate(const LanguageModel& model, std::span<const Tokens> prompts,
                             const GenerateOptions& options) {
  return Generation(model, prompts, options).run();
}

}  // namespace maskgrad
