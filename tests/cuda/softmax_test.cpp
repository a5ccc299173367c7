// Softmax and its kin on rows that the registry's samples do not have.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/softmax.hpp>

#include "cuda/both_devices.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

struct NamedOp {
  const char* name;
  Variable (*function)(const Variable&);
};
constexpr NamedOp kOps[] = {{"softmax", ops::softmax}, {"log_softmax", ops::log_softmax}};

struct MaskedOp {
  const char* name;
  Variable (*function)(const Variable&, const Tensor&);
};
constexpr MaskedOp kMaskedOps[] = {{"masked_softmax", ops::masked_softmax},
                                   {"masked_log_softmax", ops::masked_log_softmax}};

// Lengths around a lane, a warp and a block, of several blocks, and of more than are taken at once.
const Shape kShapes[] = {{3, 1},   {2, 31}, {5, 33}, {1, 512},  {2, 513},
                         {1, 700}, {1, 0},  {0, 7},  {1, 5000}, {1, 70000}};

test::Function of(const NamedOp& op) {
  return [op](const auto& x) { return op.function(x[0]); };
}
test::Function of(const MaskedOp& op, const Tensor& keep) {
  return [op, keep](const auto& x) { return op.function(x[0], keep); };
}

TEST(CudaSoftmax, TakesRowsOfEveryLength) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& shape : kShapes) {
      const Tensor x = test::uniform(random, shape, -20, 20).to(dtype),
                   g = test::uniform(random, shape).to(dtype);
      for (const NamedOp& op : kOps) test::expect_those_of_the_cpu(op.name, of(op), {x}, g);
    }
  }
}

// Some rows keep one run of places, others several, one or none.
Tensor mixed_bits(Random& random, const Shape& shape) {
  Tensor keep = test::random_bits(random, shape, 0.5);
  const std::int64_t n = shape.dim(-1);
  for (std::int64_t row = 0; row < shape.dim(0); ++row) {
    bool* const bits = keep.data<bool>() + row * n;
    if (row % 4 == 0) continue;
    std::fill_n(bits, n, false);
    if (row % 4 == 1) std::fill(bits + n / 7, bits + n - n / 9, true);
    if (row % 4 == 2) bits[n / 3] = true;
  }
  return keep;
}

TEST(CudaMaskedSoftmax, TakesRowsOfEveryLength) {
  Random random(2);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t n : {1, 2, 33, 512, 513, 1300, 9001}) {
      const Shape shape = {5, n};
      const Tensor keep = mixed_bits(random, shape);
      const Tensor x = test::uniform(random, shape, -20, 20).to(dtype),
                   g = test::uniform(random, shape).to(dtype);
      for (const MaskedOp& op : kMaskedOps) {
        test::expect_those_of_the_cpu(op.name, of(op, keep), {x}, g);
      }
    }
  }
}

TEST(CudaMaskedSoftmax, ReadsNothingThatIsNotKept) {
  Random random(3);
  const Shape shape = {4, 600};
  const Tensor keep = mixed_bits(random, shape);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = test::uniform(random, shape).to(dtype),
                 g = test::uniform(random, shape).to(dtype);
    const auto poisoned = [&](const Tensor& clean, double poison) {
      return dispatch_dtype(FloatingTypes{}, dtype, "test", [&]<class T>(T) {
        Tensor all = clean.clone();
        for (std::int64_t i = 0; i < all.numel(); ++i) {
          if (!keep.data<bool>()[i]) all.data<T>()[i] = static_cast<T>(poison);
        }
        return all;
      });
    };
    for (const MaskedOp& op : kMaskedOps) {
      const auto wanted = test::run_on({}, of(op, keep), {x}, g);
      for (const double poison : {test::kNaN, test::kInf, -test::kInf}) {
        const auto got =
            test::run_on(kCuda, of(op, keep), {poisoned(x, poison)}, poisoned(g, poison));
        for (std::size_t i = 0; i < wanted.size(); ++i) {
          EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op.name, dtype)))
              << op.name << " " << i << " with " << poison;
        }
      }
    }
  }
}

TEST(CudaMaskedSoftmax, GivesAndSendsZeroWhereNothingIsKept) {
  const Tensor keep = test::bits({0, 0, 0, 1, 1, 0}, {2, 3});
  const Tensor x = test::make({test::kNaN, 1, test::kInf, 2, 2, test::kNaN}, {2, 3});
  for (const MaskedOp& op : kMaskedOps) {
    const auto all = test::run_on(kCuda, of(op, keep), {x}, x);
    for (const Tensor& result : all) {
      EXPECT_TRUE(test::same_bits(result[0], Tensor::zeros({3}, DType::kFloat64))) << op.name;
      EXPECT_TRUE(test::same_bits(result[1][2], Tensor::zeros({}, DType::kFloat64))) << op.name;
    }
  }
}

// Positions of a sequence that do not exist are rows, or places of a row, that nothing keeps.
TEST(CudaMaskedSoftmax, LeavesOutTheHolesOfTheMaskToo) {
  Random random(4);
  const SequenceMask mask(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 40}, Shape{2, 3, 2, 600}}) {
      for (const Shape& bits : {shape, Shape{shape.dim(-1)}, Shape{shape.dim(-2), 1}}) {
        const Tensor keep = test::random_bits(random, bits);
        Tensor x = test::uniform(random, shape).to(dtype),
               g = test::uniform(random, shape).to(dtype);
        for (const MaskedOp& op : kMaskedOps) {
          test::expect_those_of_the_cpu(op.name, of(op, keep), {x}, g, mask);
        }
      }
    }
  }
}

TEST(CudaSoftmax, TakesWhatIsLargeInfiniteOrNoNumber) {
  const double large = 1e30;
  const Tensor x =
      test::make({large,       -large,      0,           -0.0,        1,           2,    //
                  test::kInf,  1,           2,           -test::kInf, 3,           4,    //
                  test::kNaN,  1,           2,           3,           4,           5,    //
                  -test::kInf, -test::kInf, -test::kInf, -100,        -800,        -90,  //
                  -test::kInf, -test::kInf, -test::kInf, -test::kInf, -test::kInf, -test::kInf},
                 {5, 6});
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor g = test::uniform(random, x.shape()).to(dtype);
    const Tensor keep = test::bits({1, 0, 1, 1, 1, 1}, {6});
    for (const NamedOp& op : kOps) {
      test::expect_those_of_the_cpu(op.name, of(op), {x.to(dtype)}, g);
    }
    for (const MaskedOp& op : kMaskedOps) {
      test::expect_those_of_the_cpu(op.name, of(op, keep), {x.to(dtype)}, g);
    }
  }
}

TEST(CudaSoftmax, TakesManyRows) {
  Random random(6);
  const Tensor x = test::uniform(random, {3000, 3}).to(DType::kFloat32),
               g = test::uniform(random, {3000, 3}).to(DType::kFloat32);
  test::expect_those_of_the_cpu("softmax", of(kOps[0]), {x}, g);
}

}  // namespace
}  // namespace maskgrad
