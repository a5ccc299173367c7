#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/best_weights.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

// Stands for the number of evaluations since, where only the end of a run made one.
constexpr const char* kAtTheEnd = "end";

// Takes a word and the space behind it from the front of `text`.
bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word) || !text.substr(word.size()).starts_with(' ')) return false;
  text.remove_prefix(word.size() + 1);
  return true;
}

// Takes a number and the space behind it from the front of `text`.
template <class T>
bool take(std::string_view& text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(' ')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

const BestWeights& BestWeights::of_regular() const {
  static const BestWeights kNone;
  if (!at_end) return *this;
  return regular ? *regular : kNone;
}

std::string BestWeights::note() const {
  return fmt::format("{} {} {} {}", step, loss, at_end ? kAtTheEnd : std::to_string(since), data);
}

BestWeights BestWeights::from_note(const std::string& text, std::int64_t steps,
                                   const std::string& file) {
  BestWeights best;
  std::string_view rest = text;
  bool is_read = take(rest, best.step) && take(rest, best.loss);
  best.at_end = is_read && take_word(rest, kAtTheEnd);
  is_read = is_read && (best.at_end || take(rest, best.since));
  // There is one evaluation after a step at most.
  const bool holds = is_read && std::isfinite(best.loss) && best.step >= 0 && best.step <= steps &&
                     best.since >= 0 && best.since <= steps - best.step;
  check(holds, "checkpoint", "'{}': the note {} is not one of validation after {}", file,
        quote(text), count_of(steps, "step"));
  best.data = rest;
  return best;
}

}  // namespace maskgrad
