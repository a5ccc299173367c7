#include "recipes/written_number.hpp"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/train/data/arithmetic.hpp>

namespace maskgrad::apps {
namespace {

constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());

// The name x is most probable everywhere, then 7, then the minus.
Tensor logits() {
  Tensor logits = Tensor::zeros({1, 2, kClasses}, DType::kFloat64);
  for (std::int64_t place = 0; place < 2; ++place) {
    double* const row = logits.data<double>() + place * kClasses;
    row[kArithmeticVocabulary.find('x')] = 3;
    row[kArithmeticVocabulary.find('7')] = 2;
    row[kArithmeticVocabulary.find('-')] = 1;
  }
  return logits;
}

TEST(WrittenNumber, HasASignAndThenDigits) {
  const double all = std::exp(3) + std::exp(2) + std::exp(1) + static_cast<double>(kClasses - 3);
  const WrittenToken sign = likeliest_in_number(logits(), 0),
                     digit = likeliest_in_number(logits(), 1);
  EXPECT_EQ(arithmetic_text({&sign.token, 1}), "-");
  EXPECT_NEAR(sign.probability, std::exp(1) / all, 1e-12);
  EXPECT_EQ(arithmetic_text({&digit.token, 1}), "7");
  EXPECT_NEAR(digit.probability, std::exp(2) / all, 1e-12);
}

TEST(WrittenNumber, IsWrittenTokenByToken) {
  std::vector<std::string> seen;
  const auto after = [&](std::span<const std::int64_t> written) {
    seen.push_back(arithmetic_text(written));
    return logits();
  };
  const Answer answer = write_number(2, after);
  EXPECT_EQ(answer.text, "-7");
  EXPECT_NEAR(
      answer.probability,
      likeliest_in_number(logits(), 0).probability * likeliest_in_number(logits(), 1).probability,
      1e-12);
  EXPECT_EQ(seen, (std::vector<std::string>{"", "-"}));
}

}  // namespace
}  // namespace maskgrad::apps
