#include <gtest/gtest.h>

#include <maskgrad/tensor/device.hpp>
#include <maskgrad/tensor/dtype.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

constexpr DType kAll[] = {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64,
                          DType::kBool};

TEST(DType, HasTheSizeOfItsCppType) {
  for (const DType dtype : kAll) {
    dispatch_dtype(AllTypes{}, dtype, "t", [&]<class T>(T) {
      EXPECT_EQ(dtype_of<T>, dtype);
      EXPECT_EQ(size_of(dtype), sizeof(T)) << to_string(dtype);
    });
  }
}

TEST(DType, IsFoundByItsName) {
  for (const DType dtype : kAll) EXPECT_EQ(dtype_from_string(to_string(dtype)), dtype);
  EXPECT_EQ(to_string(DType::kInt64), "int64");
  EXPECT_EQ(error_of([] { dtype_from_string("float"); }),
            "[dtype] 'float' is not one of float32, float64, int32, int64, bool");
}

TEST(DType, IsFloatingOrNot) {
  for (const DType dtype : kAll) {
    EXPECT_EQ(is_floating(dtype), to_string(dtype).starts_with("float")) << to_string(dtype);
  }
}

TEST(DispatchDType, ReturnsWhatTheChosenCallReturns) {
  const auto bytes = [](DType dtype) {
    return dispatch_dtype(FloatingTypes{}, dtype, "t", []<class T>(T) { return sizeof(T); });
  };
  EXPECT_EQ(bytes(DType::kFloat32), 4U);
  EXPECT_EQ(bytes(DType::kFloat64), 8U);
}

TEST(DispatchDType, CallsOnceAndOnlyTheTypeNamed) {
  int calls = 0;
  dispatch_dtype(AllTypes{}, DType::kInt32, "t", [&]<class T>(T) {
    ++calls;
    EXPECT_TRUE((std::is_same_v<T, std::int32_t>));
  });
  EXPECT_EQ(calls, 1);
}

TEST(DispatchDType, RefusesATypeThatIsNotListed) {
  EXPECT_EQ(error_of([] { dispatch_dtype(FloatingTypes{}, DType::kBool, "relu", [](auto) {}); }),
            "[relu] does not take bool");
  EXPECT_EQ(error_of([] {
              dispatch_dtype(IntegerTypes{}, DType::kFloat64, "embedding", [](auto) { return 1; });
            }),
            "[embedding] does not take float64");
}

TEST(DispatchDevice, RunsOnTheCpuAndNamesTheMissingKernelElsewhere) {
  EXPECT_EQ(dispatch_device(Device{}, "relu", [] { return 7; }), 7);
  EXPECT_EQ(error_of([] {
              dispatch_device(Device{DeviceType::kCuda, 0}, "relu", [] {});
            }),
            "[relu] has no CUDA kernel");
  EXPECT_EQ(to_string(DeviceType::kCuda), "cuda");
  EXPECT_EQ(to_string(DeviceType::kCpu), "cpu");
}

}  // namespace
}  // namespace maskgrad
