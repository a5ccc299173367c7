// An operation with a kernel, made outside maskgrad, on the best device that is here.
#include <cstdio>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

#include "softsign.hpp"

using namespace maskgrad;

int main() {
  const Device device = choose_device("auto");
  const Tensor x = Tensor::from<float>({-1, 0, 3}, {3}).to(device);
  const Tensor y = softsign(Variable(x)).value().to(Device{});
  std::printf("%g %g %g on %s\n", y.data<float>()[0], y.data<float>()[1], y.data<float>()[2],
              describe(device).c_str());
  const bool is_right =
      y.data<float>()[0] == -0.5f && y.data<float>()[1] == 0 && y.data<float>()[2] == 0.75f;
  return is_right && KernelSlot::any_of("softsign") ? 0 : 1;
}
