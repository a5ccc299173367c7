#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kLargest = 1'000'000'000;
constexpr int kMostDigits = 9;

char sign_of(bool is_negative) { return is_negative ? '-' : '+'; }

// The digits of |value|, units first.
using Digits = std::array<int, kMostDigits>;
Digits digits_of(std::int64_t value) {
  Digits digits{};
  std::int64_t rest = std::abs(value);
  for (int& digit : digits) {
    digit = static_cast<int>(rest % 10);
    rest /= 10;
  }
  return digits;
}

std::string fixed(std::int64_t value, int digits) {
  return fmt::format("{}{:0{}}", sign_of(value < 0), std::abs(value), digits);
}

void check_digits(const ArithmeticProblem& p, int digits) {
  check(digits >= 1 && digits <= kMostDigits, "arithmetic", "digits must be 1 to {}, not {}",
        kMostDigits, digits);
  std::int64_t limit = 1;
  for (int i = 0; i < digits; ++i) limit *= 10;
  for (const std::int64_t value : {p.x, p.y}) {
    check(value > -limit && value < limit, "arithmetic", "{} has more than {} digits", value,
          digits);
  }
}

// The sign with which the second operand is added, or the sign of the product.
bool is_taken_away(const ArithmeticProblem& p) {
  const bool left = p.left() < 0, right = p.right() < 0;
  return p.operation == '+' ? right : p.operation == '-' ? !right : left != right;
}

std::string operands(const ArithmeticProblem& p, int digits) {
  return fmt::format("|{}{}{}{}{}{}|", p.starts_with_x ? 'x' : 'y', fixed(p.left(), digits),
                     p.operation, p.starts_with_x ? 'y' : 'x', fixed(p.right(), digits),
                     sign_of(is_taken_away(p)));
}

std::string steps_of_sum(const ArithmeticProblem& p, int digits) {
  const Digits a = digits_of(p.left()), b = digits_of(p.right());
  const int u = p.left() < 0 ? -1 : 1, v = is_taken_away(p) ? -1 : 1;
  std::string text;
  for (std::size_t i = 0; i < static_cast<std::size_t>(digits); ++i) {
    const int column = u * a[i] + v * b[i];
    text += fmt::format("{}{:02}", sign_of(column < 0), std::abs(column));
  }
  const std::int64_t result = p.result();
  std::string reversed = fmt::format("{:0{}}", std::abs(result), digits + 1);
  std::reverse(reversed.begin(), reversed.end());
  return fmt::format("{}|{}{}|", text, sign_of(result < 0), reversed);
}

// The products a[i] b[c - i] of column c, from the largest i down.
std::vector<int> products_of(const Digits& a, const Digits& b, int c, int digits) {
  std::vector<int> products;
  for (int i = std::min(c, digits - 1); i >= 0 && c - i < digits; --i) {
    products.push_back(a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(c - i)]);
  }
  return products;
}

std::string steps_of_product(const ArithmeticProblem& p, int digits) {
  const Digits a = digits_of(p.left()), b = digits_of(p.right());
  std::string products, sums, result(1, sign_of(is_taken_away(p)));
  std::vector<int> before;  // the products of the column before
  int carry = 0;
  for (int c = 0; c < 2 * digits - 1; ++c) {
    const std::vector<int> column = products_of(a, b, c, digits);
    int sum = carry, terms = c > 1;
    const auto add = [&](int term) {
      sum += term;
      if (++terms > 1) sums += fmt::format("{:02}", sum);
    };
    for (const int product : before) add(product / 10);
    for (const int product : column) {
      products += fmt::format("{:02}", product);
      add(product % 10);
    }
    result += fmt::format("{}", sum % 10);
    carry = sum / 10;
    before = column;
  }
  return fmt::format("{}|{}|{}{}|", products, sums, result, carry + before.front() / 10);
}

// Reads a problem from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), rest_(text) {}

  char name() {
    const char found = next();
    if (found != 'x' && found != 'y') refuse();
    return found;
  }
  void expect(char c) {
    if (next() != c) refuse();
  }
  std::int64_t number() {
    const bool has_sign = !rest_.empty() && (rest_[0] == '-' || rest_[0] == '+');
    const bool is_negative = has_sign && rest_[0] == '-';
    if (has_sign) rest_.remove_prefix(1);
    if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') refuse();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    check(error == std::errc() && value <= kLargest, "arithmetic", "a number in '{}' is beyond {}",
          shortened(text_), kLargest);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return is_negative ? -value : value;
  }
  char operation() {
    const char found = next();
    if (found != '+' && found != '-' && found != '*') refuse();
    return found;
  }
  void end() const {
    if (!rest_.empty()) refuse();
  }
  [[noreturn]] void refuse() const {
    fail("arithmetic",
         "'{}' is not a problem of the form x=-12,y=24:y-x: both numbers once, "
         "then x and y with +, - or * between them",
         shortened(text_));
  }

 private:
  char next() {
    if (rest_.empty()) refuse();
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  std::string_view text_, rest_;
};

}  // namespace

std::int64_t result_of(std::int64_t left, char operation, std::int64_t right) {
  for (const std::int64_t value : {left, right}) {
    check(value >= -kLargest && value <= kLargest, "arithmetic", "{} is beyond {}", value,
          kLargest);
  }
  if (operation == '+') return left + right;
  if (operation == '-') return left - right;
  check(operation == '*', "arithmetic", "'{}' is none of the operations +-*", operation);
  return left * right;
}

void check_max_val(std::int64_t max_val) {
  check(max_val >= 1 && max_val <= kLargest, "arithmetic", "max-val must be 1 to {}, not {}",
        kLargest, max_val);
}

ArithmeticProblem draw_problem(std::uint64_t seed, std::uint64_t index, std::int64_t max_val) {
  check_max_val(max_val);
  Random random(seed, stream_of("arithmetic"), index);
  ArithmeticProblem p;
  p.x = random.integer(1 - max_val, max_val - 1);
  p.y = random.integer(1 - max_val, max_val - 1);
  p.defines_x_first = random.coin();
  p.starts_with_x = random.coin();
  p.operation = kOperators[random.below(3u)];
  return p;
}

bool is_held_out(std::int64_t x, std::int64_t y) {
  const auto [low, high] = std::minmax(x, y);
  Random random(static_cast<std::uint64_t>(low), stream_of("held out"),
                static_cast<std::uint64_t>(high));
  return random.below(10) == 0;
}

std::string to_string(const ArithmeticProblem& p) {
  const std::string definitions =
      p.defines_x_first ? fmt::format("x={},y={}", p.x, p.y) : fmt::format("y={},x={}", p.y, p.x);
  return fmt::format("{}:{}{}{}", definitions, p.starts_with_x ? 'x' : 'y', p.operation,
                     p.starts_with_x ? 'y' : 'x');
}

ArithmeticProblem parse_problem(std::string_view text) {
  Reader reader(text);
  ArithmeticProblem p;
  const auto define = [&] {
    const char name = reader.name();
    reader.expect('=');
    (name == 'x' ? p.x : p.y) = reader.number();
    return name;
  };
  const char first = define();
  reader.expect(',');
  if (define() == first) reader.refuse();
  reader.expect(':');
  const char left = reader.name();
  p.operation = reader.operation();
  if (reader.name() == left) reader.refuse();
  reader.end();
  p.defines_x_first = first == 'x';
  p.starts_with_x = left == 'x';
  return p;
}

std::string fixed_prompt(const ArithmeticProblem& p, int digits) {
  check_digits(p, digits);
  const std::string x = "x=" + fixed(p.x, digits), y = "y=" + fixed(p.y, digits);
  return fmt::format("{},{}:{}{}{}", p.defines_x_first ? x : y, p.defines_x_first ? y : x,
                     p.starts_with_x ? 'x' : 'y', p.operation, p.starts_with_x ? 'y' : 'x');
}

std::string working_steps(const ArithmeticProblem& p, int digits) {
  check_digits(p, digits);
  return operands(p, digits) +
         (p.operation == '*' ? steps_of_product(p, digits) : steps_of_sum(p, digits));
}

bool are_whole(std::string_view steps) {
  const auto bars = std::count(steps.begin(), steps.end(), '|');
  const bool is_product = steps.find('*') != std::string_view::npos;
  return steps.ends_with('|') && bars == (is_product ? 5 : 4);
}

std::optional<std::int64_t> answer_in(std::string_view steps) {
  if (!are_whole(steps)) return std::nullopt;
  steps.remove_suffix(1);
  const std::size_t before = steps.rfind('|');
  if (before == std::string_view::npos) return std::nullopt;
  std::string field(steps.substr(before + 1));
  const bool has_sign = field.size() > 1 && (field[0] == '+' || field[0] == '-');
  if (!has_sign || field.size() > 19) return std::nullopt;
  std::reverse(field.begin() + 1, field.end());
  std::int64_t value = 0;
  const char* const end = field.data() + field.size();
  const auto read = std::from_chars(field.data() + 1, end, value);
  const bool is_whole = read.ec == std::errc() && read.ptr == end && field[1] != '-';
  if (!is_whole) return std::nullopt;
  return field[0] == '-' ? -value : value;
}

}  // namespace maskgrad
