// Places for functions that work on CUDA tensors. A `.cu` file fills them where the program starts,
// so that no other file knows which of them it is linked to.
#pragma once

#include <string_view>
#include <utility>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// What kernel slots share: the operation they belong to, and a list of those that are filled.
class KernelSlot {
 public:
  /// Whether some kernel of the operation is there.
  static bool any_of(std::string_view op);

  const char* op() const { return op_; }

 protected:
  constexpr explicit KernelSlot(const char* op) : op_(op) {}

  void list(const char* op);
  /// Throws Error "[name] got one input on cuda and another on cpu".
  [[noreturn]] static void refuse_two_devices(const char* name);

 private:
  const char* op_;
  const KernelSlot* next_ = nullptr;
};

/// Lists an operation that runs on a device without a slot of its own, by kernels of others. For a
/// `.cu` file:
///   const SharedKernels kSum("sum");
class SharedKernels : public KernelSlot {
 public:
  explicit SharedKernels(const char* op) : KernelSlot(op) { list(op); }
};

template <class Signature>
class CudaKernel;

/// A place for one kernel. It is declared in the operation's header, and constant-initialised, so
/// that it is ready before any `.cu` fills it:
///   inline constinit CudaKernel<void(const Tensor& x, Tensor& y)> kSoftmaxCuda{"softmax"};
/// Arguments of type Tensor are on the device. Arguments that stay on the host have other types.
template <class... A>
class CudaKernel<void(A...)> : public KernelSlot {
 public:
  constexpr explicit CudaKernel(const char* op) : KernelSlot(op) {}

  /// Puts `run` into the slot. Returns true, for use as the initialiser of a constant. `name` is
  /// the operation's name, for a slot that was declared without it. Throws Error when the slot is
  /// filled already.
  bool fill(void (*run)(A...), const char* name = nullptr) {
    check(run_ == nullptr, name ? name : op(), "has two CUDA kernels");
    run_ = run;
    list(name ? name : op());
    return true;
  }

 private:
  template <class Signature, class Cpu, class... Given>
  friend void dispatch_device(Device, const char*, const CudaKernel<Signature>&, Cpu&&, Given&&...);
  template <class Signature, class Cpu, class... Given>
  friend void dispatch_device(Device, const CudaKernel<Signature>&, Cpu&&, Given&&...);

  template <class T>
  static void check_device(const char* name, Device device, const T& given) {
    if constexpr (std::is_same_v<T, Tensor>) {
      if (given.device() != device) [[unlikely]]
        refuse_two_devices(name);
    }
  }

  void (*run_)(A...) = nullptr;
};

/// Runs `cpu` for tensors on the CPU, else what is in the slot, with the arguments that follow.
/// Throws Error "[divide] has no CUDA kernel" when the slot is empty, and "[add] got one input on
/// cuda and another on cpu" unless all tensors among the arguments are on `device`.
template <class Signature, class Cpu, class... Given>
void dispatch_device(Device device, const char* name, const CudaKernel<Signature>& slot, Cpu&& cpu,
                     Given&&... given) {
  (slot.check_device(name, device, std::as_const(given)), ...);
  if (device.type == DeviceType::kCpu) [[likely]]
    return std::forward<Cpu>(cpu)();
  check(slot.run_ != nullptr, name, "has no CUDA kernel");
  slot.run_(std::forward<Given>(given)...);
}
template <class Signature, class Cpu, class... Given>
void dispatch_device(Device device, const CudaKernel<Signature>& slot, Cpu&& cpu,
                     Given&&... given) {
  dispatch_device(device, slot.op(), slot, std::forward<Cpu>(cpu), std::forward<Given>(given)...);
}

}  // namespace maskgrad
