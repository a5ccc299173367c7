// Normalisations on rows that the registry's samples do not have.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

test::Function layer_norm(double eps = 1e-5) {
  return [eps](const auto& x) { return ops::layer_norm(x[0], x[1], x[2], eps); };
}
test::Function masked_layer_norm(const Tensor& keep) {
  return [keep](const auto& x) { return ops::masked_layer_norm(x[0], keep, x[1], x[2]); };
}
test::Function rms_norm(double eps = 1e-6) {
  return [eps](const auto& x) { return ops::rms_norm(x[0], x[1], eps); };
}

// x, weight and bias for rows of this shape, and a gradient.
struct Inputs {
  std::vector<Tensor> all;
  Tensor g;

  Inputs(Random& random, const Shape& shape, DType dtype, double size = 2) {
    const auto uniform = [&](const Shape& of, double most) {
      const Tensor x =
          most > 0 ? test::uniform(random, of, -most, most) : Tensor::zeros(of, DType::kFloat64);
      return x.to(dtype);
    };
    all = {uniform(shape, size), uniform({shape.dim(-1)}, 2), uniform({shape.dim(-1)}, 2)};
    g = uniform(shape, 2);
  }
  std::vector<Tensor> without_bias() const { return {all[0], all[1]}; }
};

// Long rows; many rows, which are added in one block, in several, and in more than are added at
// once; first dimensions of 1; none at all.
const Shape kShapes[] = {{3, 1},      {2, 33}, {3, 512},  {2, 513}, {1, 5000}, {70, 5, 19},
                         {1, 67, 40}, {7},     {1100, 3}, {4, 0},   {0, 4},    {2, 0, 4}};

TEST(CudaNorms, TakeRowsOfEveryLengthAndNumber) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& shape : kShapes) {
      const Inputs inputs(random, shape, dtype);
      test::expect_those_of_the_cpu("layer_norm", layer_norm(), inputs.all, inputs.g);
      test::expect_those_of_the_cpu("rms_norm", rms_norm(), inputs.without_bias(), inputs.g);
      const Tensor keep = test::random_bits(random, shape);
      test::expect_those_of_the_cpu("masked_layer_norm", masked_layer_norm(keep), inputs.all,
                                    inputs.g);
    }
  }
}

TEST(CudaNorms, TakeARowThatIsVeryLong) {
  Random random(2);
  const Inputs inputs(random, {70000}, DType::kFloat32);
  test::expect_those_of_the_cpu("layer_norm", layer_norm(), inputs.all, inputs.g);
  test::expect_those_of_the_cpu("rms_norm", rms_norm(), inputs.without_bias(), inputs.g);
}

const SequenceMask& some_mask() {
  static const SequenceMask mask(test::bits({1, 1, 0, 1, 0, 0, 0, 0, 0}, {3, 3}));
  return mask;
}

// The device gets NaN and Inf where the CPU gets 0.
void expect_no_bit_of_the_holes(const std::string& op, const test::Function& f, const Inputs& clean,
                                const std::vector<Tensor>& inputs) {
  const std::vector<Tensor> wanted = test::run_on({}, f, inputs, clean.g, some_mask());
  for (const double poison : {test::kNaN, test::kInf}) {
    std::vector<Tensor> poisoned = inputs;
    poisoned[0] = inputs[0].clone();
    Tensor g = clean.g.clone();
    fill_holes(poisoned[0], some_mask(), poison);
    fill_holes(g, some_mask(), poison);
    const std::vector<Tensor> got = test::run_on(kCuda, f, poisoned, g, some_mask());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(test::is_near(got[i], wanted[i])) << op << " " << i << " with " << poison;
    }
  }
}

TEST(CudaNorms, ReadNothingOfTheHolesOfAMask) {
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& shape : {Shape{3, 3, 20}, Shape{3, 3, 2, 600}}) {
      const Inputs inputs(random, shape, dtype);
      expect_no_bit_of_the_holes("layer_norm", layer_norm(), inputs, inputs.all);
      expect_no_bit_of_the_holes("rms_norm", rms_norm(), inputs, inputs.without_bias());
      const Tensor keep = test::random_bits(random, {shape.dim(-1)});
      expect_no_bit_of_the_holes("masked_layer_norm", masked_layer_norm(keep), inputs, inputs.all);
    }
    const Inputs features(random, {3, 3}, dtype);  // which are positions
    expect_no_bit_of_the_holes("masked_layer_norm",
                               masked_layer_norm(Tensor::full({}, 1, DType::kBool)), features,
                               features.all);
  }
}

TEST(CudaNorms, GiveAndSendZeroWhereNoFeatureIsKept) {
  const Tensor keep = test::bits({0, 0, 0, 1, 0, 1}, {2, 3});
  const Tensor x = test::make({test::kNaN, 1, test::kInf, 2, test::kNaN, 3}, {2, 3});
  const Tensor weight = test::make({1, 2, 3}, {3});
  const auto all = test::run_on(kCuda, masked_layer_norm(keep), {x, weight, weight}, x);
  const Tensor zero = Tensor::zeros({}, DType::kFloat64);
  for (const std::size_t i : {0U, 1U}) {  // y and dx
    EXPECT_TRUE(test::same_bits(all[i][0], Tensor::zeros({3}, DType::kFloat64))) << i;
    EXPECT_TRUE(test::same_bits(all[i][1][1], zero)) << i;
  }
  EXPECT_TRUE(test::same_bits(all[2][1], zero));  // of the weight of a feature that nobody keeps
  EXPECT_TRUE(test::same_bits(all[3][1], zero));
}

TEST(CudaNorms, TakeNumbersWhoseSquaresOverflowOrVanish) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double size : {1e300, 1e30, 1e-30, 1e-160, 1e-300, 0.0}) {
      if (dtype == DType::kFloat32 && (size > 1e30 || (size < 1e-30 && size > 0))) continue;
      for (const std::int64_t n : {5, 600}) {
        Inputs inputs(random, {3, n}, dtype, size);
        // Beside a row of plain numbers.
        dispatch_dtype(FloatingTypes{}, dtype, "test",
                       [&]<class T>(T) { std::fill_n(inputs.all[0].data<T>() + n, n, T(0.5)); });
        for (const double eps : {0.0, 1e-6}) {
          test::expect_those_of_the_cpu("layer_norm", layer_norm(eps), inputs.all, inputs.g);
          test::expect_those_of_the_cpu("rms_norm", rms_norm(eps), inputs.without_bias(), inputs.g);
        }
      }
    }
  }
}

TEST(CudaNorms, ComputeNoGradientThatNobodyAsksFor) {
  Random random(5);
  const Inputs inputs(random, {40, 6}, DType::kFloat32);
  const auto gradients = [&](Device device, std::size_t asked) {
    std::vector<Variable> x;
    for (std::size_t i = 0; i < 3; ++i) {
      const Tensor value = inputs.all[i].to(device);
      x.push_back(i == asked ? test::leaf(value) : Variable(value));
    }
    Tape tape;
    tape.backward(layer_norm()(x), inputs.g.to(device));
    return x[asked].grad().to(Device{});
  };
  for (std::size_t asked = 0; asked < 3; ++asked) {
    EXPECT_TRUE(test::same_bits(gradients(kCuda, asked), gradients({}, asked))) << asked;
  }
}

}  // namespace
}  // namespace maskgrad
