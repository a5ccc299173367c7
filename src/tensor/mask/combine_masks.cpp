#include <maskgrad/tensor/mask/build_mask.hpp>

namespace maskgrad {
namespace {

using detail::check_defined;
using detail::runs_of;

constexpr std::size_t kLongestOperand = 100;  // characters

}  // namespace

void AttentionMask::write_operand(const Recipe& operand, Binding within, Text& text) {
  // A mask that is changed in a loop must not grow without end.
  const bool is_long = operand.text.size() > kLongestOperand;
  const bool in_parentheses = !is_long && operand.binding > within;
  if (in_parentheses) text += '(';
  text += is_long ? std::string_view("...") : std::string_view(operand.text);
  if (in_parentheses) text += ')';
}

template <class Combine>
AttentionMask AttentionMask::combine(const AttentionMask& a, const AttentionMask& b,
                                     Binding binding, Combine&& combine_runs) {
  check_defined(a.defined() && b.defined());
  const Shape &da = a.shape(), &db = b.shape();
  const auto meet = [&](int axis) {
    return da[axis] == db[axis] || da[axis] == 1 || db[axis] == 1;
  };
  check(meet(0) && meet(1) && da[2] == db[2] && da[3] == db[3], "attention_mask",
        "sizes must be equal, or 1 for batch and heads: {} and {}", da, db);
  Recipe recipe = {.text = {}, .binding = binding};
  write_operand(a.body_->recipe, binding, recipe.text);
  recipe.text += binding == Binding::kAnd ? " & " : " | ";
  write_operand(b.body_->recipe, binding, recipe.text);
  return build(broadcast("attention_mask", da, db), std::move(recipe),
               [&, of_a = Runs(), of_b = Runs(), both = Runs()](std::int64_t i, std::int64_t h,
                                                                std::int64_t s) mutable {
                 combine_runs(runs_of(a, i, h, s, of_a), runs_of(b, i, h, s, of_b), both);
                 return RunsView(both);
               });
}

AttentionMask operator&(const AttentionMask& a, const AttentionMask& b) {
  return AttentionMask::combine(a, b, AttentionMask::Binding::kAnd, intersect_runs);
}

AttentionMask operator|(const AttentionMask& a, const AttentionMask& b) {
  return AttentionMask::combine(a, b, AttentionMask::Binding::kOr, unite_runs);
}

AttentionMask operator~(const AttentionMask& a) {
  check_defined(a.defined());
  AttentionMask::Recipe recipe;
  recipe.text += '~';
  AttentionMask::write_operand(a.body_->recipe, AttentionMask::Binding::kAtom, recipe.text);
  const auto keys = static_cast<std::int32_t>(a.shape()[3]);
  return AttentionMask::build(
      a.shape(), std::move(recipe),
      [&, of_a = Runs(), others = Runs()](std::int64_t b, std::int64_t h, std::int64_t s) mutable {
        complement_runs(runs_of(a, b, h, s, of_a), keys, others);
        return RunsView(others);
      });
}

}  // namespace maskgrad
