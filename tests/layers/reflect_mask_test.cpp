// Nothing that is masked can reach a result.
#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::kFloatingDTypes;
using test::leaf;
using test::mask_of;
using test::PassResults;
using test::run_pass;
using test::same_bits;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kFeatures = 5;

// Padding behind, a hole within, and a sample with nothing but padding.
SequenceMask some_mask() { return mask_of({1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0}, {3, 4}); }

// The elements of x [B, S, D] at the positions that the mask does not keep (or does).
std::vector<double> at(const Tensor& x, const SequenceMask& mask, bool kept) {
  std::vector<double> found;
  const std::vector<double> values = to_doubles(x);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (mask.bits().data<bool>()[i / kFeatures] == kept) found.push_back(values[i]);
  }
  return found;
}

bool all_zero(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](double v) { return v == 0 && !std::signbit(v); });
}

TEST(ReflectMask, GivesExactZerosAtMaskedPositions) {
  Random random(1);
  for (const DType dtype : kFloatingDTypes) {
    Reflect reflect(kFeatures);
    ParameterBuffer parameters(reflect, dtype, 1);
    const Tensor g = uniform(random, {3, 4, kFeatures}).to(dtype);
    const Variable x = leaf(uniform(random, {3, 4, kFeatures}).to(dtype), some_mask());
    const PassResults pass = run_pass(reflect, parameters, x, g);
    EXPECT_TRUE(all_zero(at(pass.output.value(), some_mask(), false)));
    EXPECT_TRUE(all_zero(at(pass.input_grad, some_mask(), false)));
    for (const double kept : at(pass.output.value(), some_mask(), true)) EXPECT_NE(kept, 0.0);
    for (const double kept : at(pass.input_grad, some_mask(), true)) EXPECT_NE(kept, 0.0);
  }
}

TEST(ReflectMask, LetsNoPoisonThroughForwardOrBackward) {
  Random random(2);
  for (const DType dtype : kFloatingDTypes) {
    Reflect reflect(kFeatures);
    ParameterBuffer parameters(reflect, dtype, 1);
    const Tensor x = uniform(random, {3, 4, kFeatures}).to(dtype);
    const Tensor g = uniform(random, {3, 4, kFeatures}).to(dtype);
    const PassResults clean = run_pass(reflect, parameters, leaf(x.clone(), some_mask()), g);
    for (const double poison : mask_poisons()) {
      Tensor bad = x.clone();
      fill_holes(bad, some_mask(), poison);
      const PassResults poisoned = run_pass(reflect, parameters, leaf(bad, some_mask()), g);
      EXPECT_TRUE(same_bits(clean.output.value(), poisoned.output.value())) << poison;
      EXPECT_TRUE(same_bits(clean.gradients, poisoned.gradients)) << poison;
      EXPECT_TRUE(same_bits(clean.input_grad, poisoned.input_grad)) << poison;
    }
  }
}

TEST(ReflectMask, ReadsPaddingWhenTheMaskIsAppliedToQueriesOrNotAtAll) {
  Random random(6);
  const Tensor x = uniform(random, {3, 4, kFeatures});
  for (const MaskAxis axis : {MaskAxis::kQuery, MaskAxis::kNone}) {
    Reflect reflect(kFeatures, axis);
    ParameterBuffer parameters(reflect, DType::kFloat64, 1);
    const NoGrad no_grad;
    Tensor other = x.clone();
    fill_holes(other, some_mask(), 2.0);
    const Variable y = reflect(leaf(x, some_mask())), z = reflect(leaf(other, some_mask()));
    EXPECT_FALSE(is_close(z.value(), to_doubles(y.value()), 1e-3));
  }
}

TEST(ReflectMask, IgnoresGradientsThatArriveAtMaskedPositions) {
  Random random(3);
  Reflect reflect(kFeatures);
  ParameterBuffer parameters(reflect, DType::kFloat32, 1);
  const Variable x = leaf(uniform(random, {3, 4, kFeatures}).to(DType::kFloat32), some_mask());
  const Tensor g = uniform(random, {3, 4, kFeatures}).to(DType::kFloat32);
  const PassResults clean = run_pass(reflect, parameters, x, g);
  for (const double poison : mask_poisons()) {
    Tensor bad = g.clone();
    fill_holes(bad, some_mask(), poison);
    const PassResults poisoned = run_pass(reflect, parameters, x, bad);
    EXPECT_TRUE(same_bits(clean.gradients, poisoned.gradients)) << poison;
    EXPECT_TRUE(same_bits(clean.input_grad, poisoned.input_grad)) << poison;
  }
}

TEST(ReflectMask, GivesABatchOfNothingButPaddingZerosAndZeroGradients) {
  const SequenceMask nothing = mask_of(std::vector<double>(8, 0), {2, 4});
  for (const DType dtype : kFloatingDTypes) {
    for (const double poison : {1.0, std::nan("")}) {
      Reflect reflect(kFeatures);
      ParameterBuffer parameters(reflect, dtype, 1);
      const Variable x = leaf(Tensor::full({2, 4, kFeatures}, poison, dtype), nothing);
      const PassResults pass =
          run_pass(reflect, parameters, x, Tensor::full({2, 4, kFeatures}, 1.0, dtype));
      EXPECT_TRUE(all_zero(to_doubles(pass.output.value())));
      EXPECT_TRUE(all_zero(to_doubles(pass.input_grad)));
      EXPECT_EQ(to_doubles(pass.gradients),
                std::vector<double>(static_cast<std::size_t>(pass.gradients.numel()), 0.0));
    }
  }
}

TEST(ReflectMask, AppliedToQueriesIsTheSameAsNoMaskAtAll) {
  Random random(4);
  for (const DType dtype : kFloatingDTypes) {
    Tensor x = uniform(random, {3, 4, kFeatures}).to(dtype);
    fill_holes(x, some_mask(), 0);
    const Tensor g = uniform(random, {3, 4, kFeatures}).to(dtype);
    std::vector<PassResults> passes;
    for (const MaskAxis axis : {MaskAxis::kQuery, MaskAxis::kNone, MaskAxis::kKey}) {
      Reflect reflect(kFeatures, axis);
      ParameterBuffer parameters(reflect, dtype, 1);
      passes.push_back(run_pass(reflect, parameters, leaf(x.clone(), some_mask()), g));
    }
    // The rows of masked queries hold zeros, and -1e9 + 0 is exact in either dtype.
    EXPECT_TRUE(is_close(passes[0].output.value(), to_doubles(passes[1].output.value())));
    EXPECT_TRUE(is_close(passes[0].gradients, to_doubles(passes[1].gradients)));
    EXPECT_TRUE(is_close(passes[0].input_grad, to_doubles(passes[1].input_grad)));
    EXPECT_FALSE(is_close(passes[2].output.value(), to_doubles(passes[1].output.value()), 1e-3));
  }
}

// x [B, S, D] with rows of 7 behind each sample, up to `length` positions.
Tensor padded(const Tensor& x, std::int64_t length) {
  Tensor y = Tensor::full({x.dim(0), length, x.dim(2)}, 7.0, x.dtype());
  const std::int64_t sample = x.dim(1) * x.dim(2);
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    std::copy_n(x.data<double>() + b * sample, sample, y.data<double>() + b * length * x.dim(2));
  }
  return y;
}

TEST(ReflectMask, DoesNotSeeHowFarABatchIsPadded) {
  Random random(5);
  const std::int64_t lengths[] = {6, 4, 1, 0};
  const SequenceMask narrow = SequenceMask::from_lengths(lengths, 6);
  const SequenceMask wide = SequenceMask::from_lengths(lengths, 9);
  const Tensor x = uniform(random, {4, 6, kFeatures}), g = uniform(random, {4, 6, kFeatures});
  Reflect reflect(kFeatures);
  ParameterBuffer parameters(reflect, DType::kFloat64, 1);
  const PassResults short_pass = run_pass(reflect, parameters, leaf(x, narrow), g);
  const PassResults long_pass =
      run_pass(reflect, parameters, leaf(padded(x, 9), wide), padded(g, 9));
  EXPECT_EQ(at(long_pass.output.value(), wide, true).size(), 11U * kFeatures);
  const auto kept = [&](const Tensor& long_one) { return at(long_one, wide, true); };
  const auto as_tensor = [&](const Tensor& short_one) {
    const std::vector<double> values = at(short_one, narrow, true);
    return test::make(values, {static_cast<std::int64_t>(values.size())});
  };
  EXPECT_TRUE(
      is_close(as_tensor(short_pass.output.value()), kept(long_pass.output.value()), 1e-12));
  EXPECT_TRUE(is_close(as_tensor(short_pass.input_grad), kept(long_pass.input_grad), 1e-12));
  EXPECT_TRUE(is_close(short_pass.gradients, to_doubles(long_pass.gradients), 1e-12));
}

TEST(ReflectMask, TellsWhichPairsTakePart) {
  const SequenceMask mask = mask_of({1, 0, 1, 1, 1, 1}, {2, 3});
  const AttentionMask pairs = Reflect(kFeatures).pairs(mask);
  EXPECT_EQ(pairs.shape(), (Shape{2, 1, 3, 3}));
  EXPECT_EQ(to_doubles(pairs.to_bits()),
            (std::vector<double>{1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  for (const MaskAxis axis : {MaskAxis::kQuery, MaskAxis::kNone}) {
    EXPECT_TRUE(Reflect(kFeatures, axis).pairs(mask) == AttentionMask::all(3, 3));
  }
}

}  // namespace
}  // namespace maskgrad
