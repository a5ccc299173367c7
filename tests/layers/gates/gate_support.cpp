#include "layers/gates/gate_support.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "support/errors.hpp"

namespace maskgrad::test {
namespace {

// Three layers in a row, or one.
class Stack : public Layer {
 public:
  Stack(const MakeLayer& make, int count) : Layer("Stack", OfLayers{}) {
    for (int i = 0; i < count; ++i) {
      layers_.push_back(&submodule(fmt::format("layer{}", i), make()));
    }
  }
  Variable forward(const Variable& x, Pass& pass) override {
    Variable y = x;
    for (Layer* layer : layers_) y = (*layer)(y, pass);
    return y;
  }

 private:
  std::vector<Layer*> layers_;
};

bool all_of(const Tensor& x, const std::function<bool(double)>& holds) {
  const std::vector<double> values = to_doubles(x);
  return std::all_of(values.begin(), values.end(), holds);
}

}  // namespace

void expect_glorot(const Tensor& matrix) {
  const double most = std::sqrt(6.0 / static_cast<double>(matrix.dim(0) + matrix.dim(1)));
  for (const double value : to_doubles(matrix)) {
    EXPECT_LE(std::abs(value), most);
    EXPECT_NE(value, 0);
  }
}

void expect_gradients(const MakeLayer& make, std::int64_t features, double size) {
  for (const int count : {1, 3}) {
    Random random(2);
    Drawn<Stack> stack(random, DType::kFloat64, make, count);
    if (size != 1) redraw(stack.parameters, random, size);
    const Variable x = leaf(uniform(random, {2, 3, features}));
    std::vector<NamedLeaf> leaves = stack.parameters.leaves();
    leaves.push_back({"x", x});
    EXPECT_TRUE(gradients_agree([&] { return stack.layer(x); }, leaves)) << count << " layers";
  }
}

void expect_nothing_of_nothing(const MakeLayer& make, std::int64_t features) {
  const std::unique_ptr<Layer> layer = make();
  ParameterBuffer parameters(*layer, DType::kFloat64, 1);
  for (const Shape& shape : {Shape{0, 3, features}, {2, 0, features}, {2, 3, features}}) {
    const SequenceMask none(Tensor::zeros(shape.slice(0, 2), DType::kBool));
    Tensor values = Tensor::full(shape, kNaN, DType::kFloat64);
    const Variable x = leaf(values, none);
    const Shape of_output = (*layer)(x).shape();
    const Tensor grad_output = Tensor::full(of_output, kNaN, DType::kFloat64);
    const PassResults results = run_pass(*layer, parameters, x, grad_output);
    EXPECT_TRUE(of_output.starts_with(shape.slice(0, 2)));
    EXPECT_TRUE(results.output.mask().defined());
    const auto is_zero = [](double value) { return value == 0; };
    EXPECT_TRUE(all_of(results.gradients, is_zero)) << to_string(shape);
    EXPECT_TRUE(all_of(results.input_grad, is_zero)) << to_string(shape);
  }
}

void expect_finite_at_extremes(const MakeLayer& make, std::int64_t features) {
  for (const DType dtype : kFloatingDTypes) {
    const std::unique_ptr<Layer> layer = make();
    ParameterBuffer parameters(*layer, dtype, 1);
    for (const double size : {1e4, -1e4}) {
      const Variable x = leaf(Tensor::full({2, 3, features}, size, dtype));
      const Tensor ones = Tensor::full((*layer)(x).shape(), 1, dtype);
      const PassResults results = run_pass(*layer, parameters, x, ones);
      const auto is_finite = [](double value) { return std::isfinite(value); };
      EXPECT_TRUE(all_of(results.output.value(), is_finite)) << size;
      EXPECT_TRUE(all_of(results.gradients, is_finite)) << size;
      EXPECT_TRUE(all_of(results.input_grad, is_finite)) << size;
    }
  }
}

void expect_refusals(const MakeLayer& make, std::int64_t features) {
  const std::unique_ptr<Layer> layer = make();
  const ParameterBuffer parameters(*layer, DType::kFloat64, 1);
  for (const Shape& shape : {Shape{}, {2, 1}, {features, features + 1}}) {
    const Variable x(Tensor::zeros(shape, DType::kFloat64));
    EXPECT_EQ(error_of([&] { (*layer)(x); }),
              fmt::format("[{}] needs [..., {}], got {}", layer->kind(), features, shape));
  }
}

void expect_sound(const MakeLayer& make, std::int64_t features) {
  expect_refusals(make, features);
  expect_gradients(make, features);
  expect_nothing_of_nothing(make, features);
  expect_finite_at_extremes(make, features);
}

}  // namespace maskgrad::test
