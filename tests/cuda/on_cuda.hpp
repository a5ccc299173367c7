// What tests of the device seam share.
#pragma once

#include <maskgrad/tensor/tensor.hpp>

#include "emulation/emulator.hpp"

namespace maskgrad::test {

inline constexpr Device kCuda{DeviceType::kCuda, 0};

/// Calls f with threads and blocks in each order.
template <class F>
void in_each_order(F&& f) {
  using emulation::Order;
  for (const Order order : {Order::kReverse, Order::kRandom, Order::kForward}) {
    emulation::set_order(order);
    f();
  }
}

}  // namespace maskgrad::test
