// Tensors as xtensor expressions: the same memory, and no way around dtype, rank and device.
#include <gmock/gmock.h>
#include <xtensor/xarray.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include <maskgrad/tensor/autograd/watched.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/xtensor.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Xtensor, ReadsTheMemoryOfATensor) {
  const Tensor x = make({1, 2, 3, 4, 5, 6}, {2, 3});
  const auto view = as_xtensor<double>(x);
  EXPECT_EQ(view.data(), x.data<double>());
  EXPECT_THAT(view.shape(), ElementsAre(2, 3));
  EXPECT_EQ(view(1, 0), 4);
  static_assert(std::is_const_v<std::remove_pointer_t<decltype(view.data())>>);
  const Tensor row = x[1];
  EXPECT_EQ(as_xtensor<double>(row)(2), 6);
}

TEST(Xtensor, WritesToTheMemoryOfATensor) {
  Tensor x = make({1, 2, 3, 4, 5, 6}, {2, 3}), rows = x.view(1, {5});
  auto view = as_xtensor<double>(x);
  xt::view(view, 1) = 0;
  as_xtensor<double>(rows) += 1;  // at no multiple of a vector's size
  EXPECT_THAT(to_doubles(x), ElementsAre(1, 3, 4, 1, 1, 1));
  const xt::xarray<double> more = xt::ones<double>({7});
  EXPECT_THROW(view = more, std::runtime_error);
}

// A tape that saved this memory must learn of it.
TEST(Xtensor, CountsAsAWriteWhereItCanBeWrittenTo) {
  Tensor x = make({1, 2}, {2});
  const Watched watched(x);
  as_xtensor<double>(std::as_const(x));
  EXPECT_FALSE(watched.is_changed());
  as_xtensor<double>(x);
  EXPECT_TRUE(watched.is_changed());
}

TEST(Xtensor, HasEveryDType) {
  const auto there_and_back = [](const Tensor& x) {
    return dispatch_dtype(AllTypes{}, x.dtype(), "test",
                          [&]<class T>(T) { return from_xtensor(as_xtensor<T>(x)); });
  };
  Random random(1);
  for (const DType dtype : test::kEveryDType) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3, 0, 2}, Shape{37}, Shape{3, 5, 2},
                               Shape{1, 2, 1, 2, 1, 2, 1, 2}}) {
      const Tensor x = test::uniform(random, shape).to(dtype);
      EXPECT_TRUE(test::same_bits(there_and_back(x), x)) << to_string(shape);
    }
  }
}

TEST(Xtensor, MakesATensorOfAnyExpression) {
  const Tensor x = make({1, 2, 3, 4, 5, 6}, {2, 3});
  const auto view = as_xtensor<double>(x);
  EXPECT_THAT(to_doubles(from_xtensor(2 * view + xt::transpose(xt::sum(view, {0})))),
              ElementsAre(7, 11, 15, 13, 17, 21));
  const Tensor turned = from_xtensor(xt::transpose(view));
  EXPECT_EQ(turned.shape(), (Shape{3, 2}));
  EXPECT_THAT(to_doubles(turned), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(from_xtensor(view > 3).dtype(), DType::kBool);
  EXPECT_EQ(from_xtensor(xt::cast<float>(view)).dtype(), DType::kFloat32);
  EXPECT_EQ(from_xtensor(xt::cast<std::int64_t>(view)).dtype(), DType::kInt64);
  const Tensor counts = Tensor::from<std::int64_t>({1, 2}, {2});
  const Tensor sum = from_xtensor(xt::sum(as_xtensor<std::int64_t>(counts)));  // long long
  EXPECT_EQ(sum.shape(), Shape());
  EXPECT_EQ(sum.item<std::int64_t>(), 3);
}

// Not into memory of its own first.
TEST(Xtensor, EvaluatesEachElementOnce) {
  const Tensor x = make({1, 2, 3, 4}, {4});
  int calls = 0;
  const auto counted = xt::make_lambda_xfunction(
      [&calls](double value) {
        ++calls;
        return -value;
      },
      as_xtensor<double>(x));
  const std::uint64_t before = Traffic::so_far().copied;
  EXPECT_THAT(to_doubles(from_xtensor(counted)), ElementsAre(-1, -2, -3, -4));
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(Traffic::so_far().copied, before);
}

TEST(Xtensor, AssignsToATensorThatIsThere) {
  Tensor y = make({1, 2, 3, 4}, {2, 2});
  const Tensor same = y;
  assign_xtensor(y, as_xtensor<double>(same) * 10.0);
  EXPECT_THAT(to_doubles(same), ElementsAre(10, 20, 30, 40));
  const Tensor row = make({1, 2}, {2});
  EXPECT_EQ(error_of([&] { assign_xtensor(y, as_xtensor<double>(row)); }),
            "[xtensor] an expression of (2,) does not fit a tensor of (2, 2)");
  EXPECT_EQ(error_of([&] { assign_xtensor(y, xt::cast<float>(as_xtensor<double>(same))); }),
            "[tensor] holds float64, not float32");
  Tensor none;
  EXPECT_EQ(error_of([&] { assign_xtensor(none, as_xtensor<double>(row)); }),
            "[xtensor] the tensor to assign to was used before it was given a value");
}

TEST(Xtensor, RefusesAnotherDTypeAndATensorWithoutAValue) {
  Tensor x = make({1, 2}, {2}), none;
  EXPECT_EQ(error_of([&] { as_xtensor<float>(x); }), "[tensor] holds float64, not float32");
  EXPECT_EQ(error_of([&] { as_xtensor<bool>(std::as_const(x)); }),
            "[tensor] holds float64, not bool");
  EXPECT_EQ(error_of([&] { as_xtensor<float>(none); }),
            "[tensor] used before it was given a value");
}

TEST(Xtensor, RefusesMoreDimensionsThanATensorHas) {
  const xt::xarray<double> large = xt::ones<double>({1, 1, 1, 1, 1, 1, 1, 1, 2});
  EXPECT_EQ(error_of([&] { from_xtensor(large); }), error_of([] {
              Shape({1, 1, 1, 1, 1, 1, 1, 1, 2});
            }));
  EXPECT_NE(error_of([&] { from_xtensor(large); }), "no error");
}

}  // namespace
}  // namespace maskgrad
