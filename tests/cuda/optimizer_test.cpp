// Optimizers and what stands beside them have the CPU's bits on a device, and its errors.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/optim/weight_average.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::same_bits;

struct Weights : Module {
  explicit Weights(std::int64_t size) {
    const Initializer kind = uniform(1);
    parameter("a", {size}, kind);
    parameter("frozen", {3}, kind);
    parameter("b", {7, 5}, kind);
  }
};

std::vector<ParameterGroup> groups() {
  const auto is = [](const char* wanted) {
    return [wanted](std::string_view name, const Shape&) { return name == wanted; };
  };
  return {{.name = "frozen", .owns = is("frozen"), .frozen = true},
          {.name = "decayed", .owns = is("a"), .lr_factor = 0.5, .weight_decay = 0.1},
          {.name = "rest", .owns = is_any}};
}

// A model with an optimizer, on one device.
struct Trained {
  Weights model;
  ParameterBuffer parameters;
  std::unique_ptr<Optimizer> optimizer;

  template <class Make>
  Trained(Device device, DType dtype, std::int64_t size, Make make)
      : model(size), parameters(model, dtype, 3, device, groups()), optimizer(make(parameters)) {}

  void set_gradients(const Tensor& on_host) {
    parameters.set_gradients(on_host.to(parameters.dtype()).to(parameters.values().device()), 1);
  }
  // Values and state on the host.
  std::vector<Tensor> all() {
    std::vector<Tensor> all = {parameters.values().to(Device{})};
    for (const auto& [name, flat] : optimizer->state()) all.push_back(flat.to(Device{}));
    return all;
  }
};

void expect_same(Trained& there, Trained& here) {
  const auto got = there.all(), wanted = here.all();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], wanted[i])) << i;
}

// Gradients of all sizes, of which the largest have squares that overflow.
Tensor gradients_of_step(Random& random, const Shape& shape, DType dtype) {
  Tensor g = test::uniform(random, shape);
  const int most = dtype == DType::kFloat32 ? 36 : 300;
  for (std::int64_t i = 0; i < g.numel(); ++i) {
    if (i % 3 == 0) g.data<double>()[i] *= std::pow(10.0, random.integer(-most, most));
  }
  return g;
}

template <class Make>
void compare_steps(Make make) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t size : {std::int64_t{1}, test::many_elements()}) {
      Trained here({}, dtype, size, make);
      test::in_each_order([&] {
        Trained again({}, dtype, size, make), there(kCuda, dtype, size, make);
        Random random(5);
        for (const double scale : {1.0, 0.25, 1e-39, 3.0}) {
          const Tensor g = gradients_of_step(random, again.parameters.values().shape(), dtype);
          for (Trained* each : {&again, &there}) {
            each->set_gradients(g);
            each->optimizer->step(each->parameters, 0.1, scale);
          }
          expect_same(there, again);
        }
        EXPECT_FALSE(is_identical(again.parameters.values(), here.parameters.values()));
      });
    }
  }
}

TEST(CudaAdam, HasTheBitsOfTheCpu) {
  for (const Adam::Form form : {Adam::Form::kKeras, Adam::Form::kPyTorch}) {
    compare_steps([form](const ParameterBuffer& parameters) {
      return std::make_unique<Adam>(parameters, Adam::Options{.form = form});
    });
  }
}

TEST(CudaSgd, HasTheBitsOfTheCpu) {
  compare_steps(
      [](const ParameterBuffer& parameters) { return std::make_unique<Sgd>(parameters, 0.9); });
}

// What a step on a device says and leaves is what one on the CPU does.
template <class Make>
void compare_failures(Make make) {
  struct Case {
    double gradient, scale, lr;
  };
  for (const Case& one : {Case{test::kNaN, 1, 0.1}, Case{test::kInf, 1, 0.1}, Case{3e38, 10, 0.1},
                          Case{1, 1, 1e39}}) {
    Trained here({}, DType::kFloat32, 70, make), there(kCuda, DType::kFloat32, 70, make);
    Tensor g = Tensor::full(here.parameters.values().shape(), 0.5, DType::kFloat32);
    g.data<float>()[37] = static_cast<float>(one.gradient);
    const auto error = [&](Trained& each) {
      each.set_gradients(g);
      return test::error_of([&] { each.optimizer->step(each.parameters, one.lr, one.scale); });
    };
    const std::string wanted = error(here);
    EXPECT_NE(wanted, "no error");
    EXPECT_EQ(error(there), wanted);
    expect_same(there, here);
  }
}

TEST(CudaOptimizer, SaysWhatIsNotFiniteAsOnTheCpu) {
  compare_failures(
      [](const ParameterBuffer& parameters) { return std::make_unique<Adam>(parameters); });
  compare_failures(
      [](const ParameterBuffer& parameters) { return std::make_unique<Sgd>(parameters, 0.5); });
}

TEST(CudaOptimizer, RefusesParametersElsewhere) {
  Weights model(3), other(3);
  ParameterBuffer here(model, DType::kFloat32, 3), there(other, DType::kFloat32, 3, kCuda);
  Sgd sgd(here);
  WeightAverage average(there, 0.9);
  EXPECT_EQ(test::error_of([&] { sgd.step(there, 0.1); }),
            "[sgd] is on cpu, the parameters are on cuda");
  EXPECT_EQ(test::error_of([&] { average.swap(here); }),
            "[ema] is on cuda, the parameters are on cpu");
}

TEST(CudaGradientNorm, HasTheBitsOfTheCpu) {
  Random random(6);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t size : {1, 40, 8192, 2 * 8192 + 77}) {
      for (const double times : {1.0, 0.0, 1e-160, 1e200}) {
        Weights model(size), other(size);
        ParameterBuffer here(model, dtype, 3), there(other, dtype, 3, kCuda);
        Tensor g = test::uniform(random, here.values().shape());
        for (std::int64_t i = 0; i < g.numel(); ++i) g.data<double>()[i] *= times;
        here.set_gradients(g.to(dtype), 1);
        there.set_gradients(g.to(dtype).to(kCuda), 1);
        const double wanted = gradient_norm(here);
        EXPECT_EQ(gradient_norm(there), wanted) << size << " " << times;
      }
    }
  }
}

TEST(CudaWeightAverage, HasTheBitsOfTheCpuAndChangesPlaces) {
  for (const DType dtype : test::kFloatingDTypes) {
    Weights model(300), other(300);
    ParameterBuffer here(model, dtype, 3), there(other, dtype, 3, kCuda);
    WeightAverage on_cpu(here, 0.9), on_cuda(there, 0.9);
    Random random(7);
    for (std::int64_t t = 0; t < 30; t += 7) {
      here.values().copy_from(test::uniform(random, here.values().shape()).to(dtype));
      there.values().copy_from(here.values());
      on_cpu.update(here, t);
      on_cuda.update(there, t);
    }
    const Tensor weights = here.values().clone(), average = on_cpu.values().clone();
    EXPECT_TRUE(same_bits(on_cuda.values().to(Device{}), average));
    {
      const WithAverage with_average(&on_cuda, there);
      EXPECT_TRUE(same_bits(there.values().to(Device{}), average));
      EXPECT_TRUE(same_bits(on_cuda.values().to(Device{}), weights));
    }
    EXPECT_TRUE(same_bits(there.values().to(Device{}), weights));
  }
}

}  // namespace
}  // namespace maskgrad
