#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/tensor.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(Tensor, HoldsItsValuesInRowMajorOrder) {
  const Tensor x = Tensor::from({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3});
  EXPECT_EQ(x.dtype(), DType::kFloat32);
  EXPECT_EQ(x.rank(), 2);
  EXPECT_EQ(x.dim(-1), 3);
  EXPECT_EQ(x.nbytes(), 24U);
  EXPECT_THAT(x.values<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(error_of([] {
              Tensor::from({1, 2, 3}, {2});
            }),
            "[tensor] 3 values do not fill shape (2,)");
}

TEST(Tensor, StartsOnACacheLine) {
  for (const std::int64_t n : {0, 1, 7, 1000}) {
    const Tensor x = Tensor::empty({n}, DType::kFloat32);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.raw_data()) % Pool::kAlignment, 0U);
  }
}

TEST(Tensor, IsFilledWithAValueOfItsType) {
  EXPECT_THAT(Tensor::zeros({3}, DType::kFloat64).values<double>(), Each(0.0));
  EXPECT_THAT(Tensor::full({3}, -2, DType::kInt32).values<std::int32_t>(), Each(-2));
  EXPECT_THAT(Tensor::full({3}, true, DType::kBool).values<bool>(), Each(true));
  Tensor x = Tensor::zeros({2, 2}, DType::kFloat32);
  x.view(2, {2}).fill(3.0);
  EXPECT_THAT(x.values<float>(), ElementsAre(0, 0, 3, 3));
}

TEST(Tensor, IsFilledExactlyOrNotAtAll) {
  constexpr std::int64_t kOdd = 9007199254740993;  // 2^53 + 1
  EXPECT_THAT(Tensor::full({2}, kOdd, DType::kInt64).values<std::int64_t>(), Each(kOdd));
  EXPECT_EQ(error_of([] { Tensor::full({2}, kOdd, DType::kFloat64); }),
            "[tensor] fill 9007199254740993 is no float64");
  EXPECT_EQ(error_of([] { Tensor::full({2}, -2.9, DType::kInt32); }),
            "[tensor] fill -2.9 is no int32");
  EXPECT_EQ(error_of([] { Tensor::full({2}, 0.5, DType::kBool); }), "[tensor] fill 0.5 is no bool");
  EXPECT_EQ(error_of([] { Tensor::full({0}, 1e39, DType::kFloat32); }),
            "[tensor] fill 1e+39 is no float32");
}

TEST(Tensor, GivesItsElementsOnlyAsTheTypeTheyHave) {
  const Tensor x = Tensor::zeros({2}, DType::kFloat32);
  EXPECT_EQ(error_of([&] { x.data<double>(); }), "[tensor] holds float32, not float64");
  EXPECT_EQ(error_of([] { Tensor().data<float>(); }), "[tensor] used before it was given a value");
}

TEST(Tensor, SharesItsElementsWithCopiesButNotWithClones) {
  Tensor x = Tensor::zeros({2}, DType::kFloat32);
  EXPECT_TRUE(x.is_exclusive());
  const Tensor copy = x, clone = x.clone();
  EXPECT_FALSE(x.is_exclusive());
  EXPECT_TRUE(clone.is_exclusive());
  EXPECT_TRUE(x.is_same_view(copy));
  EXPECT_FALSE(x.is_same_view(clone));
  x.fill(5.0);
  EXPECT_THAT(copy.values<float>(), Each(5));
  EXPECT_THAT(clone.values<float>(), Each(0));
}

TEST(Tensor, OutlivesTheTensorItWasViewedFrom) {
  Tensor view;
  {
    const Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3});
    view = x.view(2, {3});
    EXPECT_FALSE(view.is_exclusive());
  }
  EXPECT_TRUE(view.is_exclusive());
  EXPECT_THAT(view.values<std::int32_t>(), ElementsAre(3, 4, 5));
}

TEST(Tensor, HasAViewOfEachEntryOfItsFirstDimension) {
  const Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_THAT(x[1].values<std::int32_t>(), ElementsAre(4, 5, 6));
  EXPECT_TRUE(x[0].is_same_view(x.view(0, {3})));
  EXPECT_EQ(x[1][2].item(), 6);
  EXPECT_EQ(Tensor::zeros({2, 0}, DType::kFloat32)[1].shape(), Shape{0});
  EXPECT_EQ(error_of([&] { x[2]; }), "[tensor] (2, 3) has no entry 2");
  EXPECT_EQ(error_of([&] { x[-1]; }), "[tensor] (2, 3) has no entry -1");
  EXPECT_EQ(error_of([&] { x[0][0][0]; }), "[tensor] () has no entry 0");
}

TEST(Tensor, ViewsOnlyWhatLiesInside) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kFloat32);
  EXPECT_EQ(x.view(6, {0}).numel(), 0);
  EXPECT_EQ(error_of([&] { x.view(4, {3}); }),
            "[tensor] a view of 3 elements from 4 does not lie inside (2, 3)");
  EXPECT_EQ(error_of([&] { x.view(-1, {1}); }),
            "[tensor] a view of 1 elements from -1 does not lie inside (2, 3)");
  EXPECT_EQ(error_of([&] { x.view(7, {0}); }),
            "[tensor] a view of 0 elements from 7 does not lie inside (2, 3)");
}

TEST(Tensor, IsReshapedWithoutCopying) {
  const Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor y = x.reshape({3, -1});
  EXPECT_EQ(y.shape(), (Shape{3, 2}));
  EXPECT_EQ(y.raw_data(), x.raw_data());
  EXPECT_FALSE(y.is_same_view(x));
  EXPECT_EQ(error_of([&] {
              x.reshape({4, 2});
            }),
            "[reshape] (4, 2) does not have the 6 elements of (2, 3)");
  EXPECT_EQ(error_of([&] {
              x.reshape({4, -1});
            }),
            "[reshape] -1 cannot be chosen so that the shape holds 6 elements");
}

TEST(Tensor, GivesItsOnlyElementAsADouble) {
  EXPECT_EQ(Tensor::from({2.5f}, {}).item(), 2.5);
  EXPECT_EQ(Tensor::from({true}, {1, 1}).item(), 1.0);
  EXPECT_EQ(Tensor::from<std::int64_t>({-3}, {1}).item(), -3.0);
  EXPECT_EQ(error_of([] { Tensor::zeros({2}, DType::kBool).item(); }),
            "[tensor] item() needs exactly one element, the shape is (2,)");
  EXPECT_EQ(error_of([] { Tensor::zeros({0}, DType::kBool).item(); }),
            "[tensor] item() needs exactly one element, the shape is (0,)");
}

TEST(Tensor, GivesItsOnlyElementInATypeThatHoldsIt) {
  constexpr std::int64_t kOdd = 9007199254740993;
  const Tensor x = Tensor::from<std::int64_t>({kOdd}, {1});
  EXPECT_EQ(x.item<std::int64_t>(), kOdd);
  EXPECT_EQ(error_of([&] { x.item(); }), "[tensor] item 9007199254740993 is no float64");
  EXPECT_EQ(error_of([&] { x.item<std::int32_t>(); }),
            "[tensor] item 9007199254740993 is no int32");
  EXPECT_EQ(Tensor::from<std::int64_t>({kOdd - 1}, {}).item(), 9007199254740992.0);
  EXPECT_EQ(Tensor::from({2.0F}, {}).item<std::int32_t>(), 2);
  EXPECT_EQ(error_of([] { Tensor::from({2.5F}, {}).item<std::int32_t>(); }),
            "[tensor] item 2.5 is no int32");
  EXPECT_TRUE(Tensor::from({1}, {}).item<bool>());
  EXPECT_TRUE(std::isnan(Tensor::from({kNaN}, {}).item()));
}

TEST(Tensor, IsConvertedToAnotherType) {
  const Tensor x = Tensor::from({-1.75, 0.0, -0.0, 2.5}, {4});
  EXPECT_THAT(x.to(DType::kInt64).values<std::int64_t>(), ElementsAre(-1, 0, 0, 2));
  EXPECT_THAT(x.to(DType::kBool).values<bool>(), ElementsAre(true, false, false, true));
  EXPECT_THAT(x.to(DType::kFloat32).values<float>(), ElementsAre(-1.75f, 0.f, 0.f, 2.5f));
  EXPECT_THAT(x.to(DType::kBool).to(DType::kInt32).values<std::int32_t>(), ElementsAre(1, 0, 0, 1));
  EXPECT_TRUE(x.to(DType::kFloat64).is_same_view(x));
  EXPECT_TRUE(Tensor::from({kNaN}, {1}).to(DType::kBool).item() == 1.0);
}

TEST(Tensor, RoundsToAFloatingTypeAndRefusesWhatAnIntegerTypeHasNoNumberFor) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto refused = [](double x, DType dtype) {
    return error_of([&] { Tensor::from({1.0, x}, {2}).to(dtype); });
  };
  EXPECT_EQ(refused(2147483648.0, DType::kInt32), "[tensor] the value 2147483648 is no int32");
  EXPECT_EQ(refused(-2147483648.9, DType::kInt32), "no error");
  EXPECT_EQ(refused(0x1p63, DType::kInt64), "[tensor] the value 9.223372036854776e+18 is no int64");
  EXPECT_EQ(refused(-0x1p63, DType::kInt64), "no error");
  EXPECT_EQ(refused(kInf, DType::kInt64), "[tensor] the value inf is no int64");
  EXPECT_EQ(refused(std::nan(""), DType::kInt32), "[tensor] the value nan is no int32");
  const Tensor wide = Tensor::from<std::int64_t>({-1, 1LL << 31}, {2});
  EXPECT_EQ(error_of([&] { wide.to(DType::kInt32); }), "[tensor] the value 2147483648 is no int32");
  EXPECT_THAT(wide.to(DType::kFloat32).values<float>(), ElementsAre(-1.F, 0x1p31F));
  const Tensor odd = Tensor::from<std::int64_t>({16777217}, {1});
  EXPECT_THAT(odd.to(DType::kFloat32).values<float>(), ElementsAre(16777216.F));
  EXPECT_THAT(Tensor::from({1e39, -1e39}, {2}).to(DType::kFloat32).values<float>(),
              ElementsAre(static_cast<float>(kInf), static_cast<float>(-kInf)));
}

TEST(Tensor, CopiesFromATensorOfItsOwnKindOnly) {
  Tensor x = Tensor::zeros({2}, DType::kFloat32);
  x.copy_from(Tensor::from({3.f, 4.f}, {2}));
  EXPECT_THAT(x.values<float>(), ElementsAre(3, 4));
  EXPECT_EQ(error_of([&] { x.copy_from(Tensor::zeros({2}, DType::kFloat64)); }),
            "[tensor] cannot copy float64 (2,) into float32 (2,)");
  EXPECT_EQ(error_of([&] {
              x.copy_from(Tensor::zeros({1, 2}, DType::kFloat32));
            }),
            "[tensor] cannot copy float32 (1, 2) into float32 (2,)");
}

TEST(Tensor, CopiesBetweenViewsThatOverlap) {
  const Tensor x = Tensor::from({1, 2, 3, 4, 5}, {5});
  x.view(1, {4}).copy_from(x.view(0, {4}));
  EXPECT_THAT(x.values<std::int32_t>(), ElementsAre(1, 1, 2, 3, 4));
}

TEST(Tensor, IsIdenticalByBytes) {
  const auto f = [](float v) { return Tensor::from({v}, {1}); };
  EXPECT_TRUE(is_identical(f(kNaN), f(kNaN)));
  EXPECT_FALSE(is_identical(f(0.0f), f(-0.0f)));
  EXPECT_FALSE(is_identical(f(1.0f), f(std::nextafter(1.0f, 2.0f))));
  EXPECT_FALSE(is_identical(f(1.0f), f(1.0f).reshape({1, 1})));
  EXPECT_FALSE(
      is_identical(Tensor::zeros({1}, DType::kFloat32), Tensor::zeros({1}, DType::kInt32)));
  EXPECT_TRUE(is_identical(Tensor::empty({0}, DType::kBool), Tensor::empty({0}, DType::kBool)));
}

TEST(Tensor, RefusesADeviceThatIsNotThere) {
  const std::string error = error_of([] {
    Tensor::empty({1}, DType::kFloat32, {DeviceType::kCuda, 0});
  });
  if (!cuda_memory) {
    EXPECT_EQ(error, "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON");
  } else if (error != "no error") {
    EXPECT_TRUE(error.starts_with("[device] cuda: ")) << error;
  }
}

TEST(Tensor, RefusesMoreBytesThanTheSystemHas) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer ends the program instead";
#endif
  const Shape huge{Shape::kMostElements};
  EXPECT_EQ(error_of([&] { Tensor::empty(huge, DType::kFloat64); }),
            "[tensor] float64 (576460752303423488,) takes 4611686018427387904 bytes, which the "
            "system does not have");
}

}  // namespace
}  // namespace maskgrad
