// Answers that are written as a sign and digits.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::apps {

struct WrittenToken {
  std::int64_t token = 0;
  double probability = 0;  // among all tokens
};

/// The most probable token of those that may stand at this place of a number: a sign at the first,
/// digits behind it. logits [1, N, V], V the arithmetic vocabulary.
WrittenToken likeliest_in_number(const Tensor& logits, std::int64_t place);

}  // namespace maskgrad::apps
