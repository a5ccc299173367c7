#include <gtest/gtest.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::kFloatingDTypes;
using test::make;
using test::run_pass;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kVocabulary = 6, kFeatures = 3;

Variable masked(const std::vector<double>& tokens, DType dtype = DType::kInt64) {
  return Masking()(Variable(make(tokens, {2, 4}, dtype)));
}

TEST(Embed, GivesLogitsOfTiedEmbeddings) {
  for (const DType dtype : kFloatingDTypes) {
    Embed embed(kVocabulary, kFeatures);
    const ParameterBuffer parameters(embed, dtype, 1);
    const std::vector<double> table = to_doubles(parameters.named_values().at("weight"));
    const std::vector<double> x = {1, -2, 0.5, 3, 0, -1};
    const SequenceMask mask = test::mask_of({1, 0}, {1, 2});
    const Variable y = embed.logits(Variable(make(x, {1, 2, kFeatures}, dtype), {}, mask));
    EXPECT_TRUE(y.mask() == mask);
    std::vector<double> expected;
    for (std::size_t row = 0; row < 2; ++row) {
      for (std::size_t token = 0; token < kVocabulary; ++token) {
        double sum = 0;
        for (std::size_t j = 0; j < kFeatures; ++j) {
          sum += x[row * kFeatures + j] * table[token * kFeatures + j];
        }
        expected.push_back(sum);
      }
    }
    EXPECT_TRUE(test::is_close(y.value(), expected));
  }
}

TEST(Embed, GivesRowsOfItsTableAndZerosForMaskedTokens) {
  for (const DType dtype : kFloatingDTypes) {
    Embed embed(kVocabulary, kFeatures);
    const ParameterBuffer parameters(embed, dtype, 1);
    const std::vector<double> table = to_doubles(parameters.named_values().at("weight"));
    const std::vector<double> tokens = {5, 1, 0, 2, 0, 0, 5, 3};
    for (const DType id : {DType::kInt32, DType::kInt64}) {
      const Variable x = masked(tokens, id);
      const Variable y = embed(x);
      EXPECT_EQ(y.shape(), (Shape{2, 4, kFeatures}));
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_TRUE(y.mask() == x.mask());
      const std::vector<double> values = to_doubles(y.value());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto token = static_cast<std::size_t>(tokens[i / kFeatures]);
        EXPECT_EQ(values[i], token == 0 ? 0.0 : table[token * kFeatures + i % kFeatures]) << i;
      }
    }
  }
}

TEST(Embed, WithoutAMaskTokenZeroIsARowLikeAnyOther) {
  Embed embed(kVocabulary, kFeatures);
  const ParameterBuffer parameters(embed, DType::kFloat64, 1);
  const Variable y = embed(Variable(make({0}, {1, 1}, DType::kInt64)));
  EXPECT_FALSE(y.mask().defined());
  EXPECT_TRUE(same_bits(y.value().reshape({3}),
                        parameters.named_values().at("weight").view(0, {3}).clone()));
}

TEST(Embed, HasTheGradientOfItsTable) {
  Embed embed(kVocabulary, kFeatures);
  const ParameterBuffer parameters(embed, DType::kFloat64, 1);
  const Variable x = masked({5, 1, 0, 2, 0, 5, 5, 3});
  EXPECT_TRUE(gradients_agree([&] { return embed(x); }, parameters.leaves()));
  const Variable unmasked = drop_mask(x);
  EXPECT_TRUE(gradients_agree([&] { return embed(unmasked); }, parameters.leaves()));
}

TEST(Embed, AddsUpTheGradientsOfARowAndLeavesUnusedRowsAtZero) {
  Embed embed(kVocabulary, kFeatures);
  ParameterBuffer parameters(embed, DType::kFloat64, 1);
  // 5 three times, 1 and 2 once each, padding at the three others.
  const Tensor g = Tensor::full({2, 4, kFeatures}, 0.5, DType::kFloat64);
  run_pass(embed, parameters, masked({5, 1, 0, 2, 0, 5, 5, 0}), g);
  const double times[kVocabulary] = {0, 1, 1, 0, 0, 3};
  const std::vector<double> gradient =
      to_doubles(embed.parameters()[0].parameter->variable().grad());
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_EQ(gradient[i], 0.5 * times[i / kFeatures]) << i;
  }
}

TEST(Embed, NeverReadsTheIdsOfMaskedTokens) {
  Embed embed(kVocabulary, kFeatures);
  ParameterBuffer parameters(embed, DType::kFloat32, 1);
  const Tensor g = Tensor::full({2, 4, kFeatures}, 1.0, DType::kFloat32);
  const Variable x = masked({5, 1, 0, 2, 0, 0, 5, 3});
  const Variable wild(make({5, 1, 1e9, 2, -7, 6, 5, 3}, {2, 4}, DType::kInt64), Variable::kConstant,
                      x.mask());
  const auto clean = run_pass(embed, parameters, x, g),
             poisoned = run_pass(embed, parameters, wild, g);
  EXPECT_TRUE(same_bits(clean.output.value(), poisoned.output.value()));
  EXPECT_TRUE(same_bits(clean.gradients, poisoned.gradients));
}

TEST(Embed, NamesATokenOutsideItsVocabulary) {
  Embed embed(kVocabulary, kFeatures);
  const ParameterBuffer parameters(embed, DType::kFloat32, 1);
  EXPECT_EQ(error_of([&] {
              embed(masked({5, 1, 0, 2, 0, 0, 6, 3}));
            }),
            "[embedding] token 6 at element 6 of (2, 4) is outside the vocabulary of 6");
  EXPECT_EQ(error_of([&] {
              embed(masked({5, -1, 0, 2, 0, 0, 0, 3}));
            }),
            "[embedding] token -1 at element 1 of (2, 4) is outside the vocabulary of 6");
}

}  // namespace
}  // namespace maskgrad
