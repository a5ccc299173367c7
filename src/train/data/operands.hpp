// Operands of one digit, as data and batches have them. Internal to src/train/data.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>

namespace maskgrad {

/// The most separators before a problem.
inline constexpr std::int64_t kMostLead = 1000;

/// -9 to 9 without 0, each as likely as any other.
inline std::int64_t draw_operand(Random& random) {
  const std::int64_t size = random.integer(1, 9);
  return random.coin() ? size : -size;
}

/// Throws Error unless both have one digit and are not 0, and the operator is + or - or *.
inline void check_operands(const char* name, std::int64_t left, std::int64_t right,
                           char operation) {
  for (const std::int64_t value : {left, right}) {
    check(value != 0 && value >= -9 && value <= 9, name,
          "operands have one digit and are not 0, and {} is no such number", value);
  }
  check(kOperators.find(operation) != std::string_view::npos, name,
        "an operator is one of {}, and '{}' is none", kOperators, operation);
}

/// Throws Error unless so many separators may stand before a problem.
inline void check_lead(const char* name, std::int64_t lead) {
  check(lead >= 0 && lead <= kMostLead, name, "the lead must be from 0 to {} tokens, not {}",
        kMostLead, lead);
}

/// The row and the tokens of the text.
inline void append_tokens(std::vector<std::int64_t>& row, std::string_view text) {
  const std::vector<std::int64_t> tokens = arithmetic_tokens(text);
  row.insert(row.end(), tokens.begin(), tokens.end());
}

}  // namespace maskgrad
