#include "cli/op_devices.hpp"

#include <algorithm>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::apps {

std::string devices_of(const OpDef& op) {
  if (KernelSlot::any_of(op.name)) return "cpu, cuda";
  const bool is_of_host = std::ranges::all_of(op.inputs, [](const InputSpec& input) {
    return input.dtypes == DTypes::kInteger || input.dtypes == DTypes::kBool;
  });
  return is_of_host ? "any (host)" : "cpu";
}

}  // namespace maskgrad::apps
