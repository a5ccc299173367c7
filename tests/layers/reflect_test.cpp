#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::is_close;
using test::kFloatingDTypes;
using test::leaf;
using test::mask_of;
using test::to_doubles;
using test::uniform;

constexpr std::size_t kBatch = 3, kLength = 4, kFeatures = 5;
constexpr MaskAxis kAxes[] = {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone};

const bool kRegistered =
    register_layer({"Reflect", [] { return std::make_unique<Reflect>(LayerSample::kFeatures); }});

// Padding behind, a hole within, and a sample with nothing but padding.
SequenceMask some_mask() {
  return mask_of({1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0}, {kBatch, kLength});
}
SequenceMask full_mask() { return mask_of(std::vector<double>(12, 1), {kBatch, kLength}); }

using Matrix = std::vector<std::vector<double>>;

Matrix rows_of(const std::vector<double>& values, std::size_t first, std::size_t rows) {
  Matrix matrix;
  for (std::size_t i = first; i < first + rows; ++i) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i * kFeatures);
    matrix.emplace_back(begin, begin + kFeatures);
  }
  return matrix;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix y(a.size(), std::vector<double>(b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < b[0].size(); ++j) y[i][j] += a[i][k] * b[k][j];
    }
  }
  return y;
}

// What one query makes of all keys of its sample.
std::vector<double> naive_row(std::size_t i, const Matrix& q, const Matrix& k, const Matrix& v,
                              const std::vector<bool>& keep, MaskAxis axis) {
  std::vector<double> y(kFeatures), weight(kLength);
  double total = 0;
  for (std::size_t j = 0; j < kLength; ++j) {
    double score = 0;
    for (std::size_t d = 0; d < kFeatures; ++d) score += q[i][d] * k[j][d] / std::sqrt(5.0);
    // A constant added to the whole row, the query mask of the article, cancels here.
    weight[j] = axis == MaskAxis::kKey && !keep[j] ? 0 : std::exp(score);
    total += weight[j];
  }
  if (axis == MaskAxis::kKey && (!keep[i] || total == 0)) return y;
  for (std::size_t j = 0; j < kLength; ++j) {
    for (std::size_t d = 0; d < kFeatures; ++d) y[d] += weight[j] / total * v[j][d];
  }
  return y;
}

std::vector<double> naive_reflect(const Tensor& x, const SequenceMask& mask,
                                  const ParameterBuffer& parameters, MaskAxis axis) {
  const auto matrix = [&](const char* name) {
    return rows_of(to_doubles(parameters.named_values().at(name)), 0, kFeatures);
  };
  std::vector<double> y;
  for (std::size_t b = 0; b < kBatch; ++b) {
    Matrix rows = rows_of(to_doubles(x), b * kLength, kLength);
    std::vector<bool> keep(kLength, true);
    for (std::size_t i = 0; i < kLength; ++i) {
      keep[i] = !mask.defined() || mask.bits().data<bool>()[b * kLength + i];
      if (!keep[i]) rows[i].assign(kFeatures, 0.0);
    }
    const Matrix q = product(rows, matrix("q")), k = product(rows, matrix("k")),
                 v = product(rows, matrix("v"));
    for (std::size_t i = 0; i < kLength; ++i) {
      const std::vector<double> row = naive_row(i, q, k, v, keep, axis);
      y.insert(y.end(), row.begin(), row.end());
    }
  }
  return y;
}

// The article's embedding leaves zeros at masked positions; with the axes query and none they are
// read, and -1e9 plus a score of 0 is exact.
Tensor with_zeros(Tensor x, const SequenceMask& mask) {
  if (mask.defined()) fill_holes(x, mask, 0);
  return x;
}

TEST(Reflect, IsSelfAttentionOverWhatItsMaskKeeps) {
  Random random(1);
  for (const DType dtype : kFloatingDTypes) {
    for (const MaskAxis axis : kAxes) {
      for (const SequenceMask& mask : {SequenceMask(), full_mask(), some_mask()}) {
        Reflect reflect(kFeatures, axis);
        const ParameterBuffer parameters(reflect, dtype, 1);
        const Tensor x = with_zeros(uniform(random, {kBatch, kLength, kFeatures}), mask).to(dtype);
        const Variable y = reflect(Variable(x, Variable::kConstant, mask));
        EXPECT_TRUE(is_close(y.value(), naive_reflect(x, mask, parameters, axis)))
            << to_string(axis);
      }
    }
  }
}

TEST(Reflect, HasTheGradientsOfInputAndWeights) {
  Random random(2);
  for (const MaskAxis axis : kAxes) {
    for (const SequenceMask& mask : {SequenceMask(), full_mask(), some_mask()}) {
      Reflect reflect(kFeatures, axis);
      const ParameterBuffer parameters(reflect, DType::kFloat64, 1);
      const Variable x =
          leaf(with_zeros(uniform(random, {kBatch, kLength, kFeatures}), mask), mask);
      auto leaves = parameters.leaves();
      // The other axes read what stands at masked positions, but no gradient comes back there.
      if (axis == MaskAxis::kKey || !(mask == some_mask())) leaves.push_back({"x", x});
      EXPECT_TRUE(gradients_agree([&] { return reflect(x); }, leaves)) << to_string(axis);
    }
  }
}

TEST(Reflect, HasThreeSquareMatricesAndNoBias) {
  Reflect reflect(15);
  const ParameterBuffer parameters(reflect, DType::kFloat32, 1);
  EXPECT_EQ(parameters.count(), 675);
  std::vector<std::string> names;
  for (const auto& entry : parameters.entries()) {
    names.push_back(entry.name);
    EXPECT_EQ(entry.parameter->shape(), (Shape{15, 15}));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("q", "k", "v"));
}

TEST(Reflect, PassesTheMaskOnWithTheKeyAxisAndEndsItWithTheOthers) {
  for (const MaskAxis axis : kAxes) {
    Reflect reflect(kFeatures, axis);
    const ParameterBuffer parameters(reflect, DType::kFloat32, 1);
    const Variable x(Tensor::zeros({kBatch, kLength, kFeatures}, DType::kFloat32),
                     Variable::kConstant, some_mask());
    const SequenceMask mask = reflect(x).mask();
    EXPECT_TRUE(mask == (axis == MaskAxis::kKey ? some_mask() : SequenceMask()));
    EXPECT_EQ(reflect.mask_rule(), axis == MaskAxis::kKey ? MaskRule::kUses : MaskRule::kEnds);
  }
}

TEST(Reflect, AttendsToAnotherSequenceWhereItUsesMasks) {
  Random random(6);
  for (const MaskAxis axis : kAxes) {
    Reflect reflect(kFeatures, axis);
    const ParameterBuffer parameters(reflect, DType::kFloat64, 1);
    const Variable x(uniform(random, {kBatch, kLength, kFeatures}), Variable::kConstant,
                     some_mask());
    const auto attend = [&] {
      Pass pass;
      const Variable y = reflect.attend(x, x, pass);
      EXPECT_TRUE(test::same_bits(y.value(), reflect(x).value()));
    };
    EXPECT_EQ(error_of(attend), axis == MaskAxis::kKey
                                    ? "no error"
                                    : "[Reflect] attention to another sequence uses masks");
  }
}

TEST(Reflect, RefusesInputsOfAnotherShape) {
  Reflect reflect(kFeatures);
  const ParameterBuffer parameters(reflect, DType::kFloat32, 1);
  for (const Shape& shape : {Shape{4, 5}, Shape{3, 4, 6}, Shape{1, 3, 4, 5}}) {
    EXPECT_EQ(error_of([&] { reflect(Variable(Tensor::zeros(shape, DType::kFloat32))); }),
              fmt::format("[Reflect] needs [B, S, 5], got {}", shape));
  }
}

TEST(Reflect, AttendsOverThePairsOfThePassThatExist) {
  Reflect reflect(kFeatures);
  const ParameterBuffer parameters(reflect, DType::kFloat64, 1);
  Random random(5);
  const Tensor values = test::uniform(random, {kBatch, kLength, kFeatures});
  const auto run = [&](const SequenceMask& mask, const AttentionMask& pairs) {
    Pass pass;
    if (pairs.defined()) pass.set_pairs(pairs);
    return reflect(Variable(values, Variable::kConstant, mask), pass).value();
  };
  // All pairs are what no pairs are, and causal attention shows the first position only itself.
  EXPECT_TRUE(test::same_bits(run(some_mask(), AttentionMask::all(kLength, kLength)),
                              run(some_mask(), {})));
  const Tensor causal = run({}, AttentionMask::causal(kLength));
  const std::vector<double> v = test::to_doubles(parameters.named_values().at("v"));
  std::vector<double> first(kFeatures);
  for (std::size_t d = 0; d < first.size(); ++d) {
    for (std::size_t i = 0; i < first.size(); ++i) {
      first[d] += values.data<double>()[i] * v[i * first.size() + d];
    }
  }
  EXPECT_TRUE(test::is_close(causal[0][0].clone(), first));
  // With both, a position that does not exist stays 0.
  const Tensor both = run(some_mask(), AttentionMask::causal(kLength));
  for (std::int64_t i = 0; i < both.numel(); ++i) {
    if (is_hole(some_mask(), both.shape(), i)) {
      EXPECT_EQ(both.data<double>()[i], 0);
    }
  }
}

TEST(MaskAxis, HasANameForEachAndNoOther) {
  for (const MaskAxis axis : kAxes) EXPECT_EQ(mask_axis_from_string(to_string(axis)), axis);
  EXPECT_EQ(to_string(MaskAxis::kKey), "key");
  EXPECT_EQ(to_string(MaskAxis::kQuery), "query");
  EXPECT_EQ(to_string(MaskAxis::kNone), "none");
  EXPECT_EQ(error_of([] { mask_axis_from_string("keys"); }),
            "[mask] 'keys' is not one of key, query, none");
}

}  // namespace
}  // namespace maskgrad
