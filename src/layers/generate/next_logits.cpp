#include <algorithm>

#include <maskgrad/layers/generate/next_logits.hpp>
#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/pad_rows.hpp>

namespace maskgrad {
namespace {

std::int64_t checked_longest(const char* name, std::span<const Tokens> prompts) {
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    check(!prompts[i].empty(), name, "prompt {} is empty", i);
    longest = std::max(longest, std::ssize(prompts[i]));
  }
  return longest;
}

// Rows of tokens, padded behind to one length: int64 [B, S] with their mask.
Variable batch_of(std::span<const std::span<const std::int64_t>> rows) {
  std::vector<std::int64_t> lengths;
  for (const auto& row : rows) lengths.push_back(std::ssize(row));
  const Tensor tokens = pad_rows(std::ssize(rows), 0, 0,
                                 [&](std::int64_t b) { return rows[static_cast<std::size_t>(b)]; });
  return Variable(tokens, Variable::kConstant, SequenceMask::from_lengths(lengths, tokens.dim(1)));
}

}  // namespace

NextLogits::NextLogits(const char* name, const LanguageModel& model,
                       std::span<const Tokens> prompts, std::int64_t tokens, bool cache)
    : name_(name), model_(model), longest_(checked_longest(name, prompts)), tokens_(tokens) {
  check(tokens >= 0, name, "tokens must be at least 0, got {}", tokens);
  const std::int64_t most = checked_add(name, "the positions of a sequence", longest_, tokens);
  if (cache) cache_.emplace(std::ssize(prompts), most);
}

std::vector<Tensor> NextLogits::operator()(std::span<const Tokens* const> sequences) {
  std::vector<std::span<const std::int64_t>> unread;
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const auto read = cache_ ? static_cast<std::size_t>(cache_->lengths()[b]) : 0;
    unread.push_back(std::span(*sequences[b]).subspan(read));
  }
  const Variable tokens = batch_of(unread);
  Pass pass = cache_ ? Pass::reading(*cache_) : Pass::unpacked();
  const Tensor logits = model_(tokens, pass).value();
  check_positions(pass);
  check(logits.rank() == 3 && logits.shape().slice(0, 2) == tokens.shape(), name_,
        "the model gives logits {} for tokens {}", logits.shape(), tokens.shape());
  std::vector<Tensor> last;
  for (std::int64_t b = 0; b < std::ssize(unread); ++b) {
    const std::int64_t row =
        b * logits.dim(1) + std::ssize(unread[static_cast<std::size_t>(b)]) - 1;
    last.push_back(logits.view(row * logits.dim(2), {logits.dim(2)}));
  }
  return last;
}

// The last token is not read, so it takes no position. Said before any token is made.
void NextLogits::check_positions(const Pass& pass) const {
  const std::int64_t needed = longest_ + tokens_ - 1;
  const std::int64_t most = pass.most_positions().value_or(needed);
  check(needed <= most, name_,
        "{} tokens behind a prompt of {} need {} positions; the model has {}", tokens_, longest_,
        needed, most);
}

void NextLogits::select(std::span<const std::int64_t> from) {
  if (!cache_) return;
  bool all_stay = std::ssize(from) == cache_->batch();
  for (std::int64_t b = 0; all_stay && b < std::ssize(from); ++b) {
    all_stay = from[static_cast<std::size_t>(b)] == b;
  }
  if (!all_stay) cache_->select(from);
}

}  // namespace maskgrad
