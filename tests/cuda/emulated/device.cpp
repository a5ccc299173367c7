// What the emulated device is able to do, for tests that run on a GPU too.
#include "cuda/on_cuda.hpp"
#include "emulation/emulator.hpp"

namespace maskgrad::test {

int orders() { return 3; }

// The one that costs least comes last, for what runs in no order of its own.
void set_order(int order) {
  using emulation::Order;
  constexpr Order kOrders[] = {Order::kReverse, Order::kRandom, Order::kForward};
  emulation::set_order(kOrders[order]);
}

std::int64_t many_elements() { return 4000; }

// The same compiler made both. The slope of pow alone adds up roundings as the compiler likes, and
// cuda_race_tests are compiled to round each product.
double allowed_ulps(const std::string& op, DType) { return op == "pow" ? 1 : 0; }

}  // namespace maskgrad::test
