#include "recipes/distractors/answer_likelihood.hpp"

#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "support/gradient_check.hpp"
#include "support/tensors.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kReading = Distractors::kReading, kAnswer = Distractors::kAnswer;
constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());
constexpr std::string_view kPlaces[] = {"xy", "+-", "123456789", "+-", "123456789", "+-*", "xy"};

struct Tables {
  explicit Tables(DType dtype = DType::kFloat64) : parameters(predictor, dtype, 3) {}

  Predictor predictor{{.length = 40, .features = 8, .layers = 1, .heads = 2}};
  ParameterBuffer parameters;

  AnswerLikelihood likelihood() const { return {predictor, parameters.dtype()}; }

  // log p(answer | reading): of the tables, asked for this reading alone.
  double log_probability(const std::string& reading, std::string_view answer) const {
    const std::vector<std::int64_t> tokens = arithmetic_tokens(reading);
    const Tensor ids = Tensor::from(std::span<const std::int64_t>(tokens), {1, kReading});
    Pass pass;
    const Variable steps = predictor.steps_of(certain(ids, parameters.dtype()), pass);
    const Variable all = predictor.answer_of(ops::softmax(steps), pass);
    const std::vector<double> p = test::to_doubles(ops::softmax(all).value());
    double sum = 0;
    for (std::size_t i = 0; i < answer.size(); ++i) {
      sum += std::log(p[i * static_cast<std::size_t>(kClasses) + token(answer[i])]);
    }
    return sum;
  }
  static std::size_t token(char c) { return kArithmeticVocabulary.find(c); }
};

Tensor answer_of(std::string_view text) {
  const std::vector<std::int64_t> tokens = arithmetic_tokens(std::string(text));
  return Tensor::from(std::span<const std::int64_t>(tokens), {1, kAnswer});
}

// Logits that leave no doubt of what was read but at `open` places, where all that may stand is as
// likely.
Variable reading_of(const std::string& text, const std::vector<std::size_t>& open) {
  Tensor logits = Tensor::full({1, kReading, kClasses}, -60, DType::kFloat64);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_open = std::ranges::count(open, i) > 0;
    for (const char c : is_open ? std::string(kPlaces[i]) : text.substr(i, 1)) {
      logits.data<double>()[i * static_cast<std::size_t>(kClasses) + Tables::token(c)] = 0;
    }
  }
  return Variable(logits);
}

TEST(AnswerLikelihood, OfWhatWasReadForSureIsThatOfTheTables) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const Tables tables(dtype);
    const AnswerLikelihood likelihood = tables.likelihood();
    for (const std::string text : {"x-3+4-y", "y+9-1*x"}) {
      const double expected = std::exp(tables.log_probability(text, "-06"));
      const double loss =
          test::to_doubles(likelihood.losses(reading_of(text, {}), answer_of("-06")).value())[0];
      EXPECT_NEAR(loss, -std::log(1e-6 + expected), dtype == DType::kFloat64 ? 1e-12 : 1e-4)
          << text;
    }
  }
}

TEST(AnswerLikelihood, SumsOverWhatMayStandWhereNothingWasRead) {
  const Tables tables;
  const AnswerLikelihood likelihood = tables.likelihood();
  double expected = 0;
  for (const char sign : {'+', '-'}) {
    for (const char operation : {'+', '-', '*'}) {
      const std::string text = fmt::format("x{}3+4{}y", sign, operation);
      expected += std::exp(tables.log_probability(text, "+12")) / 6;
    }
  }
  const Variable reading = reading_of("x-3+4-y", {1, 5});
  const double loss = test::to_doubles(likelihood.losses(reading, answer_of("+12")).value())[0];
  EXPECT_NEAR(loss, -std::log(1e-6 + expected), 1e-12);
}

TEST(AnswerLikelihood, HasGradientsOfCentralDifferences) {
  const Tables tables;
  const AnswerLikelihood likelihood = tables.likelihood();
  Random random(1);
  Variable reading = test::leaf(test::uniform(random, {2, kReading, kClasses}));
  Tensor targets = Tensor::empty({2, kAnswer}, DType::kInt64);
  targets[0].copy_from(answer_of("-06")[0]);
  targets[1].copy_from(answer_of("+12")[0]);
  EXPECT_TRUE(test::gradients_agree([&] { return ops::sum(likelihood.losses(reading, targets)); },
                                    {{"reading", reading}}));
}

// What the predictor learns later changes nothing.
TEST(AnswerLikelihood, StaysWhatItWasMadeOf) {
  Tables tables;
  const AnswerLikelihood likelihood = tables.likelihood();
  const Variable reading = reading_of("x-3+4-y", {1});
  const auto loss = [&] {
    return test::to_doubles(likelihood.losses(reading, answer_of("-06")).value());
  };
  const std::vector<double> before = loss();
  tables.parameters.values().fill(0);
  EXPECT_EQ(loss(), before);
}

}  // namespace
}  // namespace maskgrad::apps
