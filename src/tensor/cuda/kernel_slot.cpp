#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {
namespace {

constinit const KernelSlot* first_filled = nullptr;

}  // namespace

void KernelSlot::list(const char* op) {
  op_ = op;
  next_ = std::exchange(first_filled, this);
}

bool KernelSlot::any_of(std::string_view op) {
  for (const KernelSlot* slot = first_filled; slot; slot = slot->next_) {
    if (slot->op_ == op) return true;
  }
  return false;
}

void KernelSlot::refuse_two_devices(const char* name) {
  fail(name, "got one input on cuda and another on cpu");
}

}  // namespace maskgrad
