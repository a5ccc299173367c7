// Values of nothing and of one element, rows that 16 bits do not count, and more of them than one
// dimension of a grid has: each kind of kernel gets them, and has the CPU's bits.
//
// Offsets that 32 bits do not count take more memory than an emulated device has. Those are tested
// on a GPU (gpu/big_tensor_test.cpp).
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using Values = std::vector<Variable>;
using Axes = std::vector<std::int64_t>;

constexpr std::int64_t kLong = 70'001;  // more than 2^16, and no multiple of anything

// An operation, and shapes of its inputs.
struct Case {
  const char* op;
  test::Function function;
  std::vector<Shape> nothing, one, long_row;  // the last may be empty: it takes too long
};

Tensor all_true(const Variable& x) { return Tensor::full(x.shape(), true, DType::kBool); }
// The second of three places.
Tensor every_third(std::int64_t n) {
  Tensor bits = Tensor::zeros({n}, DType::kBool);
  for (std::int64_t i = 1; i < n; i += 3) bits.data<bool>()[i] = true;
  return bits;
}
Tensor reversed(std::int64_t n) {
  Tensor places = Tensor::empty({n}, DType::kInt64);
  for (std::int64_t i = 0; i < n; ++i) places.data<std::int64_t>()[i] = n - 1 - i;
  return places;
}

const Case kElements[] = {
    {"add",
     [](const Values& x) { return ops::add(x[0], x[1]); },
     {{0, 3}, {3}},
     {{1}, {}},
     {{2, kLong}, {kLong}}},
    {"gelu", [](const Values& x) { return ops::gelu(x[0]); }, {{0}}, {{}}, {{kLong}}},
    {"keep_where",
     [](const Values& x) { return ops::keep_where(x[0], all_true(x[0])); },
     {{0, 2}},
     {{1}},
     {{kLong}}},
};
const Case kRows[] = {
    {"softmax", [](const Values& x) { return ops::softmax(x[0]); }, {{3, 0}}, {{1}}, {{kLong}}},
    {"log_softmax",
     [](const Values& x) { return ops::log_softmax(x[0]); },
     {{0, 3}},
     {{1}},
     {{kLong}}},
    {"masked_softmax",
     [](const Values& x) { return ops::masked_softmax(x[0], every_third(x[0].dim(-1))); },
     {{3, 0}},
     {{1}},
     {{2, kLong}}},
    {"masked_log_softmax",
     [](const Values& x) { return ops::masked_log_softmax(x[0], all_true(x[0])); },
     {{0, 3}},
     {{1, 1}},
     {{kLong}}},
    {"layer_norm",
     [](const Values& x) { return ops::layer_norm(x[0], x[1], x[2]); },
     {{0, 3}, {3}, {3}},
     {{1}, {1}, {1}},
     {{2, kLong}, {kLong}, {kLong}}},
    {"masked_layer_norm",
     [](const Values& x) {
       return ops::masked_layer_norm(x[0], every_third(x[0].dim(-1)), x[1], x[2]);
     },
     {{0, 3}, {3}, {3}},
     {{1}, {1}, {1}},
     {{kLong}, {kLong}, {kLong}}},
    {"rms_norm",
     [](const Values& x) { return ops::rms_norm(x[0], x[1]); },
     {{0, 3}, {3}},
     {{1}, {1}},
     {{2, kLong}, {kLong}}},
    {"sum", [](const Values& x) { return ops::sum(x[0], {-1}); }, {{0, 3}}, {{1}}, {{2, kLong}}},
    {"mean", [](const Values& x) { return ops::mean(x[0], {0}); }, {{3, 0}}, {{1}}, {{kLong, 2}}},
    {"max", [](const Values& x) { return ops::max(x[0], 0); }, {{3, 0}}, {{1}}, {{kLong, 2}}},
    {"masked_max",
     [](const Values& x) { return ops::masked_max(x[0], all_true(x[0]), -1); },
     {{3, 0}},
     {{1}},
     {{2, kLong}}},
    {"masked_mean",
     [](const Values& x) { return ops::masked_mean(x[0], every_third(x[0].dim(-1)), -1); },
     {{3, 0}},
     {{1}},
     {{2, kLong}}},
    {"cross_entropy",
     [](const Values& x) {
       return ops::cross_entropy(x[0], Tensor::zeros({x[0].dim(0)}, DType::kInt64)).sum;
     },
     {{0, 3}},
     {{1, 1}},
     {{2, kLong}}},
    {"mse",
     [](const Values& x) { return ops::mse(x[0], x[1]).sum; },
     {{0, 3}, {0, 3}},
     {{1}, {1}},
     {{2, kLong}, {2, kLong}}},
};
const Case kProducts[] = {
    {"matmul",
     [](const Values& x) { return ops::matmul(x[0], x[1]); },
     {{2, 0}, {0, 3}},
     {{1, 1}, {1, 1}},
     {{1, kLong}, {kLong, 1}}},
    {"linear",
     [](const Values& x) { return ops::linear(x[0], x[1], x[2]); },
     {{0, 2}, {2, 3}, {3}},
     {{1}, {1, 1}, {1}},
     {{kLong, 2}, {2, 3}, {3}}},
    {"attention",
     [](const Values& x) { return ops::scaled_dot_product_attention(x[0], x[1], x[2]); },
     {{1, 1, 0, 2}, {1, 1, 3, 2}, {1, 1, 3, 2}},
     {{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}},
     {{1, 1, 1, 2}, {1, 1, kLong, 2}, {1, 1, kLong, 2}}},
    {"attention",
     [](const Values& x) { return ops::scaled_dot_product_attention(x[0], x[0], x[0]); },
     {{0, 1, 2, 2}},
     {{1, 1, 1, 1}},
     {}},
    {"rotary_embedding",
     [](const Values& x) {
       return ops::rotary_embedding(x[0], Tensor::zeros({x[0].dim(0), x[0].dim(1)}, DType::kInt64));
     },
     {{1, 0, 2}},
     {{1, 1, 2}},
     {{1, kLong, 2}}},
};
const Case kMoves[] = {
    {"permute",
     [](const Values& x) {
       return ops::permute(x[0], Axes{1, 0});
     },
     {{0, 3}},
     {{1, 1}},
     {{2, kLong}}},
    {"slice",
     [](const Values& x) { return ops::slice(x[0], 0, 0, 1); },
     {{1, 0}},
     {{1}},
     {{2, kLong}}},
    {"concat",
     [](const Values& x) { return ops::concat(x, -1); },
     {{2, 0}, {2, 0}},
     {{1}, {1}},
     {{2, kLong}, {2, 3}}},
    {"index_select",
     [](const Values& x) { return ops::index_select(x[0], 0, reversed(x[0].dim(0))); },
     {{0, 3}},
     {{1}},
     {{kLong, 1}}},
    {"boolean_mask",
     [](const Values& x) { return ops::boolean_mask(x[0], every_third(x[0].dim(0))).output; },
     {{0, 3}},
     {{1}},
     {{4, kLong}}},
};

class CudaSizes : public test::Draws<> {
 protected:
  // In one order of threads, and in float32: the values are many.
  void expect_those_of_the_cpu_once(const char* op, const test::Function& f,
                                    const std::vector<Shape>& shapes) {
    const std::vector<Tensor> inputs = draw(shapes, DType::kFloat32);
    const auto wanted = test::run_on(Device{}, f, inputs), got = test::run_on(kCuda, f, inputs);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op, DType::kFloat32)))
          << op << " " << i;
    }
  }
  void expect_those_of_the_cpu(const Case& of, const std::vector<Shape>& shapes) {
    SCOPED_TRACE(of.op);
    for (const DType dtype : test::kFloatingDTypes) {
      test::expect_within(test::allowed_ulps(of.op, dtype), of.function, draw(shapes, dtype));
    }
  }
  template <class F>
  static void for_each_case(F f) {
    for (const auto& cases : {std::span<const Case>(kElements), std::span<const Case>(kRows),
                              std::span<const Case>(kProducts), std::span<const Case>(kMoves)}) {
      for (const Case& of : cases) f(of);
    }
  }

  using Draws::draw;

 private:
  std::vector<Tensor> draw(const std::vector<Shape>& shapes, DType dtype) {
    std::vector<Tensor> values;
    for (const Shape& shape : shapes) values.push_back(draw(shape).to(dtype));
    return values;
  }
};

TEST_F(CudaSizes, MayBeNothing) {
  for_each_case([&](const Case& of) { expect_those_of_the_cpu(of, of.nothing); });
}

TEST_F(CudaSizes, MayBeASingleElement) {
  for_each_case([&](const Case& of) { expect_those_of_the_cpu(of, of.one); });
}

TEST_F(CudaSizes, MayBeMoreThan16BitsCount) {
  for_each_case([&](const Case& of) {
    if (!of.long_row.empty()) expect_those_of_the_cpu_once(of.op, of.function, of.long_row);
  });
}

// A grid has 65,535 blocks in its y and in its z. What asks for more is cut, or goes on in a loop.

TEST_F(CudaSizes, OfSumsMayBeMoreThanAGridHas) {
  const auto sums = [](const Values& x) { return ops::sum(x[0], {1}); };
  expect_those_of_the_cpu_once("sum", sums, {{65'537, 3}});
  expect_those_of_the_cpu_once("sum", sums, {{65'537, 2, 2}});
}

TEST_F(CudaSizes, OfHeadsMayBeMoreThanAGridHas) {
  const Tensor x = draw({65'537, 1, 1, 1}).to(DType::kFloat32);
  const auto attention = [&](Device device) {
    const Variable there(x.to(device));
    return ops::scaled_dot_product_attention(there, there, there).value().to(Device{});
  };
  EXPECT_TRUE(test::same_bits(attention(kCuda), attention(Device{})));
}

// 32 words for each block of y.
TEST_F(CudaSizes, OfRowsThatAreTakenMayBeMoreThanAGridHas) {
  const auto taken = [](const Values& x) {
    return ops::index_select(x[0], 0, Tensor::from<std::int64_t>({1}, {1}));
  };
  expect_those_of_the_cpu_once("index_select", taken, {{2, 32 * 65'535 + 33}});
}

}  // namespace
}  // namespace maskgrad
