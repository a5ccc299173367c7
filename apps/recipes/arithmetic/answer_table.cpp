#include "recipes/arithmetic/answer_table.hpp"

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

namespace maskgrad::apps {
namespace {

constexpr std::array<const char*, 3> kNames = {"add", "subtract", "multiply"};
constexpr std::size_t kMostMistakes = 10;

const char* name_of(int sign) { return sign < 0 ? "negative" : sign > 0 ? "positive" : "zero"; }

int sign_of(std::int64_t value) { return (value > 0) - (value < 0); }

std::vector<std::string> row(std::string_view operation, std::string sign, std::string digits,
                             std::int64_t all, std::int64_t right) {
  const double share = static_cast<double>(right) / static_cast<double>(all);
  return {std::string(operation),      std::move(sign),
          std::move(digits),           std::to_string(all),
          std::to_string(all - right), fmt::format("{:.6f}", share)};
}

}  // namespace

void AnswerTable::add(const ArithmeticProblem& problem, std::optional<std::int64_t> answer) {
  const std::int64_t result = problem.result();
  const bool is_right = answer == result;
  const std::size_t operation = kOperators.find(problem.operation);
  const auto digits = static_cast<int>(std::to_string(std::abs(result)).size());
  for (Count* count : {&kinds_[{operation, sign_of(result), digits}], &operations_[operation]}) {
    ++count->all;
    count->right += is_right;
  }
  if (is_right || mistakes_.size() == kMostMistakes) return;
  mistakes_.push_back(
      fmt::format("wrong: {} is {}, the model {}", to_string(problem), result,
                  answer ? fmt::format("answers {}", *answer) : "writes no answer"));
}

Examination AnswerTable::examination() const {
  Examination examination{.mistakes = mistakes_};
  examination.table = {{"operation", "answer", "digits", "problems", "wrong", "exact"}};
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const Count& whole = operations_[i];
    if (whole.all == 0) continue;
    for (const auto& [kind, count] : kinds_) {
      const auto& [operation, sign, digits] = kind;
      if (operation != i) continue;
      examination.table.push_back(row(kOperators.substr(i, 1), name_of(sign),
                                      std::to_string(digits), count.all, count.right));
    }
    examination.table.push_back(row(kOperators.substr(i, 1), "all", "all", whole.all, whole.right));
    examination.shares.emplace_back(fmt::format("exact_{}", kNames[i]), whole.share());
    examination.count += whole.all;
  }
  return examination;
}

}  // namespace maskgrad::apps
