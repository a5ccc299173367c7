// map_elements() and zip_elements(): every way to broadcast, any number of threads, any place.
#include <cmath>
#include <functional>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/functors/rules.hpp>

#include "ops/places.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::place;
using test::same_bits;

const std::vector<std::pair<Shape, Shape>> kPairs = {
    {{}, {}},
    {{1, 1}, {1}},
    {{7}, {}},
    {{}, {7}},
    {{5000}, {1}},
    {{2, 3}, {3}},
    {{3}, {2, 3}},
    {{2, 1}, {1, 3}},
    {{2000, 15}, {15}},
    {{2000, 15}, {2000, 1}},
    {{3, 2500}, {3, 1}},
    {{3, 2500}, {2500}},
    {{4, 5, 33}, {4, 1, 33}},
    {{4, 1, 33}, {5, 1}},
    {{2, 1, 3, 1, 2}, {5, 1, 7, 1}},
    {{6, 1, 1, 4, 1, 3, 1, 2}, {1, 2, 3, 1, 5, 1, 2, 1}},
    {{64, 1, 70}, {1, 48, 70}},
    {{0, 3}, {3}},
    {{4, 0}, {4, 1}},
    {{1, 3}, {0, 1}},
};

template <class T>
Tensor counted(const Shape& shape, T first) {
  Tensor x = Tensor::empty(shape, dtype_of<T>);
  std::iota(x.data<T>(), x.data<T>() + x.numel(), first);
  return x;
}

template <class T>
class ZipElements : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ZipElements, FloatingTypes);

TYPED_TEST(ZipElements, TakesTheElementsThatBroadcastingNames) {
  using T = TypeParam;
  for (const auto& [sa, sb] : kPairs) {
    const Tensor a = counted<T>(sa, 1), b = counted<T>(sb, T(0.5));
    const Shape shape = broadcast("test", sa, sb);
    const Tensor y = ops::zip_elements("test", ops::functors::Divide(), a, b);
    ASSERT_EQ(y.shape(), shape);
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      ASSERT_EQ(y.data<T>()[i], a.data<T>()[place(sa, i, shape)] / b.data<T>()[place(sb, i, shape)])
          << i << " of " << to_string(sa) << to_string(sb);
    }
  }
}

TYPED_TEST(ZipElements, TakesThreeInputs) {
  using T = TypeParam;
  const auto f = [](const auto& a, const auto& b, const auto& c)
                     MASKGRAD_INLINE { return (a + b) / c; };
  for (const auto& [sa, sb] : kPairs) {
    const Shape shape = broadcast("test", sa, sb);
    const Shape row = shape.slice(std::max(0, shape.rank() - 1), shape.rank());
    const Tensor a = counted<T>(sa, 1), b = counted<T>(sb, T(0.5));
    for (const Shape& own : {shape, Shape{}, row}) {
      const Tensor c = counted<T>(own, 3);
      const Tensor y = ops::zip_elements("test", f, a, b, c);
      for (std::int64_t i = 0; i < shape.numel(); ++i) {
        ASSERT_EQ(y.data<T>()[i],
                  (a.data<T>()[place(sa, i, shape)] + b.data<T>()[place(sb, i, shape)]) /
                      c.data<T>()[place(own, i, shape)]);
      }
    }
  }
}

TYPED_TEST(ZipElements, GivesBoolInputsAsConditions) {
  using T = TypeParam;
  Random random(1);
  for (const auto& [sx, sk] : kPairs) {
    const Tensor x = counted<T>(sx, 1), keep = test::random_bits(random, sk, 0.5);
    const Tensor y =
        ops::zip_elements("test", ops::functors::KeepWhere<>(), x, ops::Conditions{keep});
    const Shape shape = broadcast("test", sx, sk);
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      const bool kept = keep.data<bool>()[place(sk, i, shape)];
      ASSERT_EQ(y.data<T>()[i], kept ? x.data<T>()[place(sx, i, shape)] : T{});
    }
  }
}

TYPED_TEST(ZipElements, GivesTheSameBitsOnAnyNumberOfThreads) {
  using T = TypeParam;
  Random random(2);
  // Rounded in a way of its own in each lane, were there one.
  const auto f = [](const auto& a, const auto& b)
                     MASKGRAD_INLINE { return ops::functors::Silu()(a) / b; };
  for (const auto& [sa, sb] : kPairs) {
    const Tensor a = test::uniform(random, sa).to(dtype_of<T>),
                 b = test::uniform(random, sb, 0.5, 2).to(dtype_of<T>);
    const Tensor one = ops::zip_elements("test", f, a, b);
    const test::WithThreads three(3);
    EXPECT_TRUE(same_bits(ops::zip_elements("test", f, a, b), one)) << to_string(sa);
  }
}

// However they come to stand there: whole, repeated, at the end of a row.
TYPED_TEST(ZipElements, GivesAnElementTheSameBitsAtAnyPlace) {
  using T = TypeParam;
  const auto f = [](const auto& a, const auto& b)
                     MASKGRAD_INLINE { return ops::functors::Gelu()(a) + b; };
  const T x = T(0.37), z = T(1.7);
  const T expected = f(x, z);
  for (const auto& [sa, sb] : kPairs) {
    const Tensor y = ops::zip_elements("test", f, Tensor::full(sa, x, dtype_of<T>),
                                       Tensor::full(sb, z, dtype_of<T>));
    for (const T element : y.template values<T>()) ASSERT_EQ(element, expected) << to_string(sa);
  }
}

TEST(ZipAll, TakesElementsOfEveryDtype) {
  for (const DType dtype : test::kEveryDType) {
    dispatch_dtype(AllTypes{}, dtype, "test", [&]<class T>(T) {
      const Tensor a = test::make({0, 1, 1}, {3}, dtype), keep = test::bits({1, 0}, {2, 1});
      Tensor y = Tensor::empty({2, 3}, dtype);
      const ops::BroadcastPlan plan("test", a.shape(), keep.shape());
      ops::zip_all(plan, y.data<T>(), ops::functors::KeepWhere<T>{T{}}, a.data<T>(),
                   keep.data<bool>());
      EXPECT_THAT(test::to_doubles(y), ::testing::ElementsAre(0, 1, 1, 0, 0, 0));
    });
  }
}

TEST(MapInto, MayWriteOverAnInput) {
  for (const DType dtype : test::kFloatingDTypes) {
    Tensor x = Tensor::full({40003}, 3, dtype);
    ops::map_into("test", ops::functors::Multiply(), x, x, x);
    EXPECT_TRUE(same_bits(x, Tensor::full({40003}, 9, dtype)));
  }
}

TEST(ZipElements, RefusesWhatDoesNotFit) {
  const auto zip = [](const Tensor& a, const Tensor& b) {
    return error_of([&] { ops::zip_elements("test", ops::functors::Add(), a, b); });
  };
  EXPECT_EQ(zip(Tensor::zeros({2}, DType::kFloat32), Tensor::zeros({3}, DType::kFloat32)),
            "[test] shapes do not broadcast: (2,) and (3,)");
  EXPECT_EQ(zip(Tensor::zeros({2}, DType::kFloat32), Tensor::zeros({2}, DType::kFloat64)),
            "[test] the inputs are float32 and float64, they must be the same");
  EXPECT_EQ(zip(Tensor::zeros({2}, DType::kInt32), Tensor::zeros({1}, DType::kInt32)),
            "[test] does not take int32");
}

}  // namespace
}  // namespace maskgrad
