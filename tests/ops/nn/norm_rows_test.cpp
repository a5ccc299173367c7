// layer_norm over many rows and long ones: what its loops cut, and its sums over rows.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::leaf;
using test::same_bits;
using test::to_doubles;

struct Results {
  Tensor y, dx, dweight, dbias;
};

template <class F>
Results run(const Variable& x, const Tensor& w, const Tensor& b, const Tensor& g, F norm) {
  const Variable weight = leaf(w), bias = leaf(b);
  Tape tape;
  const Variable y = norm(x, weight, bias);
  tape.backward(y, g);
  return {y.value(), x.grad(), weight.grad(), bias.grad()};
}

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias) {
  return ops::layer_norm(x, weight, bias);
}

// The same of plain operations.
Variable composed_norm(const Variable& x, const Variable& weight, const Variable& bias) {
  const Variable centered = ops::subtract(x, ops::mean(x, {-1}, true));
  const Variable variance = ops::mean(ops::square(centered), {-1}, true);
  const Variable eps(Tensor::full({}, 1e-5, x.dtype()));
  const Variable root = ops::sqrt(ops::add(variance, eps));
  return ops::add(ops::multiply(ops::divide(centered, root), weight), bias);
}

TEST(LayerNormOfManyRows, IsTheFormulaOfPlainOperations) {
  Random random(3);
  for (const Shape& shape : {Shape{70, 5, 19}, Shape{1, 67, 128}, Shape{3, 1100}, Shape{40, 16}}) {
    SCOPED_TRACE(to_string(shape));
    const Tensor x = test::uniform(random, shape), g = test::uniform(random, shape),
                 w = test::uniform(random, {shape.dim(-1)}),
                 b = test::uniform(random, {shape.dim(-1)});
    const Results expected = run(leaf(x), w, b, g, composed_norm);
    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      const Results got = run(leaf(x.to(dtype)), w.to(dtype), b.to(dtype), g.to(dtype), layer_norm);
      const double tolerance = 20 * test::tolerance(dtype);
      EXPECT_TRUE(is_close(got.y, to_doubles(expected.y), tolerance));
      EXPECT_TRUE(is_close(got.dx, to_doubles(expected.dx), tolerance));
      EXPECT_TRUE(is_close(got.dweight, to_doubles(expected.dweight), tolerance));
      EXPECT_TRUE(is_close(got.dbias, to_doubles(expected.dbias), tolerance));
    }
  }
}

TEST(LayerNormOfManyRows, HasTheSameBitsWithPaddingAndOnAnyNumberOfThreads) {
  Random random(4);
  const std::int64_t batch = 70, length = 5, padded = 9, features = 128;
  const auto draw = [&](const Shape& shape) {
    return test::uniform(random, shape).to(DType::kFloat32);
  };
  const Tensor x = draw({batch, length, features}), g = draw({batch, length, features}),
               w = draw({features}), b = draw({features});
  const auto pad = [&](const Tensor& from, double fill) {
    Tensor to = Tensor::full({batch, padded, features}, fill, DType::kFloat32);
    for (std::int64_t i = 0; i < batch; ++i) {
      Tensor row = to.view(i * padded * features, {length, features});
      row.copy_from(from.view(i * length * features, {length, features}));
    }
    return to;
  };
  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(batch), length);
  const Variable masked(pad(x, std::nan("")), Variable::kRequiresGrad,
                        SequenceMask::from_lengths(lengths, padded));
  const Results alone = run(leaf(x), w, b, g, layer_norm);
  for (const int threads : {1, 2, 3}) {
    const test::WithThreads with(threads);
    const Results same = run(leaf(x), w, b, g, layer_norm);
    EXPECT_TRUE(same_bits(same.dx, alone.dx) && same_bits(same.y, alone.y));
    EXPECT_TRUE(same_bits(same.dweight, alone.dweight) && same_bits(same.dbias, alone.dbias));
    const Variable again(masked.value(), Variable::kRequiresGrad, masked.mask());
    const Results longer = run(again, w, b, pad(g, 1.0), layer_norm);
    EXPECT_TRUE(same_bits(longer.dweight, alone.dweight));
    EXPECT_TRUE(same_bits(longer.dbias, alone.dbias));
    EXPECT_TRUE(same_bits(longer.dx, pad(alone.dx, 0.0)));
  }
}

}  // namespace
}  // namespace maskgrad
