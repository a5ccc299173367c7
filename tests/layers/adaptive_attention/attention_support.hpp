// What the tests of adaptive attention share.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad::test {

/// Left padding, a hole within, nothing at all: 3 sequences of 5.
inline SequenceMask attention_mask() {
  return mask_of({0, 1, 1, 1, 1, /**/ 1, 0, 1, 1, 0, /**/ 0, 0, 0, 0, 0}, {3, 5});
}
inline Variable attention_input(std::int64_t features, const SequenceMask& mask,
                                DType dtype = DType::kFloat64) {
  Random random(7);
  return Variable(uniform(random, {3, 5, features}).to(dtype), Variable::kConstant, mask);
}

/// The number of each position among those of its row that exist, -1 where there is none.
inline std::vector<std::int64_t> numbers_of(const SequenceMask& mask, std::int64_t b,
                                            std::int64_t length) {
  std::vector<std::int64_t> numbers;
  std::int64_t next = 0;
  for (std::int64_t s = 0; s < length; ++s) {
    const bool exists = !mask.defined() || mask.bits().data<bool>()[b * length + s];
    numbers.push_back(exists ? next++ : -1);
  }
  return numbers;
}

/// The positions of sequence b of x that exist, a row each.
inline Matrix rows_that_exist(const Variable& x, std::int64_t b) {
  Matrix found;
  const std::vector<std::int64_t> numbers = numbers_of(x.mask(), b, x.dim(1));
  const Matrix all = rows(x.value());
  for (std::size_t s = 0; s < numbers.size(); ++s) {
    if (numbers[s] >= 0) found.push_back(all[static_cast<std::size_t>(b) * numbers.size() + s]);
  }
  return found;
}

/// The value with 0 where the mask leaves positions out.
inline Tensor kept(const Variable& y) {
  Tensor value = y.value().clone();
  if (y.mask().defined()) fill_holes(value, y.mask(), 0);
  return value;
}

/// The output for each sample alone, its positions that exist packed to the front, has the bits of
/// the batch.
template <class Call>
void expect_batch_invariance(const Variable& x, Call call) {
  const Tensor whole = call(x, std::int64_t{-1}).value().clone();
  const std::int64_t length = x.dim(1), features = x.dim(2);
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    std::vector<std::int64_t> columns;
    const std::vector<std::int64_t> numbers = numbers_of(x.mask(), b, length);
    for (std::int64_t s = 0; s < length; ++s) {
      if (numbers[static_cast<std::size_t>(s)] >= 0) columns.push_back(b * length + s);
    }
    if (columns.empty()) continue;
    Tensor alone = Tensor::empty({1, std::ssize(columns), features}, x.dtype());
    Tensor expected = Tensor::empty({1, std::ssize(columns), whole.dim(2)}, x.dtype());
    for (std::int64_t i = 0; i < std::ssize(columns); ++i) {
      const std::int64_t place = columns[static_cast<std::size_t>(i)];
      alone.view(i * features, {features}).copy_from(x.value().view(place * features, {features}));
      expected.view(i * whole.dim(2), {whole.dim(2)})
          .copy_from(whole.view(place * whole.dim(2), {whole.dim(2)}));
    }
    EXPECT_TRUE(same_bits(call(Variable(alone), b).value(), expected)) << b;
  }
}

/// The same of a layer that is called, for attention_input().
inline void expect_batch_invariance(Layer& layer, std::int64_t features, const SequenceMask& mask,
                                    DType dtype) {
  expect_batch_invariance(attention_input(features, mask, dtype),
                          [&](const Variable& x, std::int64_t) { return layer(x); });
}

/// What attending to another sequence is refused with.
inline std::string error_of_attending_elsewhere(MultiHeadAttention& layer, std::int64_t features) {
  const Variable x = attention_input(features, {});
  Pass pass;
  return error_of([&] { layer.attend(x, x, pass); });
}

}  // namespace maskgrad::test
