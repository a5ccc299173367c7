// Answers that are written as a sign and digits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <maskgrad/tensor/tensor.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

struct WrittenToken {
  std::int64_t token = 0;
  double probability = 0;  // among all tokens
};

/// The most probable token of those that may stand at this place of a number: a sign at the first,
/// digits behind it. logits [1, N, V], V the arithmetic vocabulary.
WrittenToken likeliest_in_number(const Tensor& logits, std::int64_t place);

/// A number of so many places, written token by token, each of them likeliest_in_number():
/// "+07" is the answer "7". `logits` gives the logits [1, places, V] when these tokens are written.
Answer write_number(std::int64_t places,
                    const std::function<Tensor(std::span<const std::int64_t> written)>& logits);

}  // namespace maskgrad::apps
