#include <algorithm>
#include <optional>

#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/checked.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "generate";

// A prompt, what was made behind it, and how much of both was read.
struct Sequence {
  std::size_t prompt;
  Tokens all;
  std::size_t read = 0;
  bool goes_on = true;
};

// The tokens from `first(sequence)` on, padded behind to one length: int64 [B, S] with their mask.
template <class First>
Variable batch_of(const std::vector<Sequence>& sequences, First first) {
  std::size_t length = 0;
  for (const Sequence& s : sequences) length = std::max(length, s.all.size() - first(s));
  const Shape shape = {static_cast<std::int64_t>(sequences.size()),
                       static_cast<std::int64_t>(length)};
  Tensor tokens = Tensor::zeros(shape, DType::kInt64), exists = Tensor::zeros(shape, DType::kBool);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const Tokens& all = sequences[b].all;
    const auto begin = static_cast<std::ptrdiff_t>(first(sequences[b]));
    std::copy(all.begin() + begin, all.end(), tokens.data<std::int64_t>() + b * length);
    std::fill_n(exists.data<bool>() + b * length, std::ssize(all) - begin, true);
  }
  return Variable(tokens, Variable::kConstant, SequenceMask(exists));
}

class Generation {
 public:
  Generation(const LanguageModel& model, std::span<const Tokens> prompts,
             const GenerateOptions& options)
      : model_(model), options_(options) {
    check(options.tokens >= 0, kName, "tokens must be at least 0, got {}", options.tokens);
    check_options(options.sample);
    check(prompts.size() <= UINT32_MAX - options.first_sample, kName,
          "{} prompts from sample {} on are more than 2^32 samples", prompts.size(),
          options.first_sample);
    std::size_t longest = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      check(!prompts[i].empty(), kName, "prompt {} is empty", i);
      sequences_.push_back({i, prompts[i]});
      longest = std::max(longest, prompts[i].size());
    }
    made_.resize(prompts.size());
    if (options.cache) {
      cache_.emplace(std::ssize(sequences_),
                     checked_add(kName, "the positions of a sequence",
                                 static_cast<std::int64_t>(longest), options.tokens));
    }
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
    const auto first = [&](const Sequence& s) { return cache_ ? s.read : 0; };
    const Variable tokens = batch_of(sequences_, first);
    Pass pass = cache_ ? Pass::reading(*cache_) : Pass();
    const Tensor logits = model_(tokens, pass).value();
    check(logits.rank() == 3 && logits.shape().slice(0, 2) == tokens.shape(), kName,
          "the model gives logits {} for tokens {}", logits.shape(), tokens.shape());
    for (std::size_t b = 0; b < sequences_.size(); ++b) {
      Sequence& s = sequences_[b];
      const auto last = static_cast<std::int64_t>(s.all.size() - 1 - first(s));
      const std::int64_t row = static_cast<std::int64_t>(b) * logits.dim(1) + last;
      if (!add(s, logits.view(row * logits.dim(2), {logits.dim(2)}))) return false;
    }
    return true;
  }

  bool add(Sequence& s, const Tensor& logits) {
    const Tokens& made = made_[s.prompt];
    Random random(options_.seed, options_.first_sample + static_cast<std::uint32_t>(s.prompt),
                  made.size());
    const std::int64_t token = sample_token(logits, options_.sample, random.uniform());
    s.read = s.all.size();
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
    if (left.size() == sequences_.size()) {
      sequences_ = std::move(left);
      return;
    }
    sequences_ = std::move(left);
    if (cache_) cache_->select(from);
  }

  const LanguageModel& model_;
  const GenerateOptions& options_;
  std::vector<Sequence> sequences_;
  std::vector<Tokens> made_;
  std::optional<KeyValueCache> cache_;
};

}  // namespace

std::vector<Tokens> generate(const LanguageModel& model, std::span<const Tokens> prompts,
                             const GenerateOptions& options) {
  return Generation(model, prompts, options).run();
}

}  // namespace maskgrad
