// What tests of the device share. Most of them hold for an emulated device and for a GPU:
// emulated/device.cpp and gpu/device.cpp say in what the two differ.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::test {

inline constexpr Device kCuda{DeviceType::kCuda, 0};

/// How many orders of threads and blocks the device can be told; a GPU has one, its own.
int orders();
void set_order(int order);

/// Calls f with threads and blocks in each order.
template <class F>
void in_each_order(F&& f) {
  for (int order = 0; order < orders(); ++order) {
    set_order(order);
    f();
  }
}

/// Memory of the device that tensors and uploads use now, in bytes of the pool's sizes.
std::uint64_t memory_in_use();
/// Whether memory that was given back is used again, so that a step gets the same as another.
bool reuses_memory();

/// How many elements a test of many values takes.
std::int64_t many_elements();

/// Units in the last place that may lie between the device's result of an operation and the CPU's.
/// 0 stands for the same bits.
double allowed_ulps(const std::string& op, DType dtype);

/// Shapes and dtypes agree, and elements within so many units in the last place of `wanted`. Any
/// NaN is as good as another: which bits it has is up to the device. Names the worst element.
::testing::AssertionResult is_near(const Tensor& got, const Tensor& wanted, double ulps = 0);

}  // namespace maskgrad::test
