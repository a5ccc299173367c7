// Problems of arithmetic with two named numbers, and the working steps that lead to the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace maskgrad {

/// All operators. A literal instead of the array could stand at another address in each object
/// file, and a loop could begin in one of them and end in another.
inline constexpr char kOperatorCharacters[] = {'+', '-', '*'};
inline constexpr std::string_view kOperators(kOperatorCharacters, sizeof kOperatorCharacters);

/// left + right, left - right or left right. Throws Error for another operation than + - *, and for
/// numbers beyond 10^9, so that a product fits 64 bits.
std::int64_t result_of(std::int64_t left, char operation, std::int64_t right);

/// x, y and an expression of both: "y=24,x=-12:y-x".
struct ArithmeticProblem {
  std::int64_t x = 0, y = 0;
  bool defines_x_first = true, starts_with_x = true;
  char operation = '+';  // or '-' or '*'

  /// The operands in the order of the expression.
  std::int64_t left() const { return starts_with_x ? x : y; }
  std::int64_t right() const { return starts_with_x ? y : x; }
  std::int64_t result() const { return result_of(left(), operation, right()); }
};

/// Throws Error unless max_val is 1 to 10^9, so that a product fits 64 bits.
void check_max_val(std::int64_t max_val);

/// Problem `index` of the endless list of problems of `seed`. x and y are uniform in
/// [1 - max_val, max_val - 1]. Each order of the definitions and each order of the operands has
/// probability 1/2. The operation is uniform over + - *. Throws Error as check_max_val().
ArithmeticProblem draw_problem(std::uint64_t seed, std::uint64_t index, std::int64_t max_val);

/// Whether a problem with these two numbers, in any order, is kept from training: a tenth of all
/// pairs, chosen by a hash.
bool is_held_out(std::int64_t x, std::int64_t y);

/// "y=24,x=-12:y-x".
std::string to_string(const ArithmeticProblem& problem);
/// The inverse; a number may have a sign + and zeros in front. Throws Error for any other text, and
/// for a number beyond 10^9.
ArithmeticProblem parse_problem(std::string_view text);

/// What a model reads: every number with its sign and `digits` digits, "y=+24,x=-12:y-x". Throws
/// Error unless digits is 1 to 9 and the numbers have no more.
std::string fixed_prompt(const ArithmeticProblem& problem, int digits);

/// What a model writes after fixed_prompt(). Each of its tokens is a small function of those before
/// it. Fields end with "|":
///   the operands by name in the order of the expression, then g: for + and - the sign with which
///   the second one is added, for * the sign of the product;
///   for + and -, the sums of the digits of each column with their signs, units first, and last the
///   sign and the digits of the result, units first. 24 - -12 is "|y+24-x-12+|+06+03|+630|";
///   for *, the products of two digits by column, the sums of each column while they grow, and last
///   g and the digits. -98 * 47 is "|x-98*y+47-|56633236|0810071016|-6064|".
/// Throws Error as fixed_prompt().
std::string working_steps(const ArithmeticProblem& problem, int digits);

/// Whether working steps have all their fields: three, or four with a product.
bool are_whole(std::string_view steps);

/// The number in the last field of whole working steps; nothing for other text.
std::optional<std::int64_t> answer_in(std::string_view steps);

}  // namespace maskgrad
