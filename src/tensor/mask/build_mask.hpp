// How attention masks are made of the runs of their rows. Internal to attention masks.
#pragma once

#include <utility>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/rows.hpp>

namespace maskgrad {
namespace detail {

inline void check_defined(bool defined) {
  check(defined, "attention_mask", "used before it was given a value");
}

// The runs of a row where they stand, or else as found in `scratch`.
inline RunsView runs_of(const AttentionMask& mask, std::int64_t b, std::int64_t h, std::int64_t s,
                        Runs& scratch) {
  if (mask.form() == AttentionMask::Form::kBits) {
    find_runs(mask.row_bits(b, h, s), static_cast<std::int32_t>(mask.shape()[3]), scratch);
    return scratch;
  }
  RunsView runs = mask.intervals(b, h, s);
  while (!runs.empty() && runs.back().empty()) runs = runs.first(runs.size() - 1);
  return runs;
}

}  // namespace detail

// The mask of given rows, in its canonical form. runs_of_row(b, h, s) returns the runs of a row,
// valid until its next call. A row that does not exist has none; exists == nullptr: all rows exist.
// Each form that is tried asks for all rows. Threads ask copies of runs_of_row for the rows of some
// samples each, in order.
template <class RunsOfRow>
AttentionMask AttentionMask::build(const Shape& shape, Recipe recipe, const RunsOfRow& runs_of_row,
                                   const bool* exists) {
  auto* const body = new Body;
  const Ref<const Body> owner(body);
  body->shape = shape;
  body->recipe = std::move(recipe);
  body->storage = detail::intervals_of<1>(shape, runs_of_row, exists);
  body->intervals_per_row = 1;
  if (!body->storage.defined()) {
    body->storage = detail::intervals_of<2>(shape, runs_of_row, exists);
    body->intervals_per_row = 2;
  }
  if (body->storage.defined()) {
    body->intervals = reinterpret_cast<const KeyInterval*>(body->storage.data<std::int32_t>());
  } else {
    body->storage = detail::bits_of(shape, runs_of_row, exists);
    body->bits = body->storage.data<bool>();
  }
  return AttentionMask(owner);
}

}  // namespace maskgrad
