// A contiguous, row-major array of one element type on one device.
#pragma once

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <span>
#include <utility>

#include <maskgrad/tensor/device.hpp>
#include <maskgrad/tensor/dtype.hpp>
#include <maskgrad/tensor/scalar.hpp>
#include <maskgrad/tensor/shape.hpp>
#include <maskgrad/tensor/storage.hpp>

namespace maskgrad {

/// A view of elements in shared storage. Copying a Tensor copies the view, never the elements;
/// clone() copies elements. A default-constructed Tensor is undefined. A function that needs the
/// elements, the storage or the device of an undefined Tensor throws Error "[tensor] used before it
/// was given a value".
class Tensor {
 public:
  Tensor() = default;

  /// New storage with undefined contents. Throws Error when the memory cannot be had, and when the
  /// build or the process has no such device. So do all functions here that make storage.
  static Tensor empty(const Shape& shape, DType dtype, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype, Device device = {});
  /// Every element `value`. Throws Error when it does not fit `dtype`; see Scalar.
  static Tensor full(const Shape& shape, Scalar value, DType dtype, Device device = {});
  /// A copy of `values`, which are on the host, in row-major order. Throws Error unless there are
  /// shape.numel() of them.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, Device device = {});
  template <class T>
  static Tensor from(std::initializer_list<T> values, const Shape& shape, Device device = {}) {
    return from(std::span<const T>(values.begin(), values.size()), shape, device);
  }

  bool defined() const { return static_cast<bool>(storage_); }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_.dim(axis); }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t nbytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype()); }
  DType dtype() const { return kind_.dtype; }
  Device device() const { return storage().device(); }

  /// The elements. Throws Error when T is not the tensor's dtype, and "[tensor] is on cuda: the
  /// host cannot read it". A call through a Tensor that is not const counts as a write to its
  /// memory. If a tape saved a value in this memory, reading the saved value is an error
  /// afterwards.
  template <class T>
  T* data() {
    check_kind({dtype_of<T>, DeviceType::kCpu});
    return reinterpret_cast<T*>(written());
  }
  template <class T>
  const T* data() const {
    check_kind({dtype_of<T>, DeviceType::kCpu});
    return reinterpret_cast<const T*>(place());
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  std::byte* raw_data() {
    check_kind({dtype(), DeviceType::kCpu});
    return written();
  }
  const std::byte* raw_data() const {
    check_kind({dtype(), DeviceType::kCpu});
    return place();
  }
  /// The elements of a tensor that is on CUDA, for kernels. Throws Error for one that is not, and
  /// when T is not its dtype.
  template <class T>
  T* device_data() {
    check_kind({dtype_of<T>, DeviceType::kCuda});
    return reinterpret_cast<T*>(written());
  }
  template <class T>
  const T* device_data() const {
    check_kind({dtype_of<T>, DeviceType::kCuda});
    return reinterpret_cast<const T*>(place());
  }
  /// The only element, as a double or a T; the host waits for one on a device. Throws Error unless
  /// numel() == 1, and when the element does not fit; see Scalar.
  double item() const { return item<double>(); }
  template <class T>
  T item() const {
    return only_element().template to<T>("tensor", "item");
  }

  /// The same elements under another shape. One dimension may be -1: it takes what is left.
  /// Throws Error when the number of elements differs.
  Tensor reshape(std::initializer_list<std::int64_t> dims) const;
  Tensor reshape(const Shape& shape) const;
  /// A view of shape.numel() elements from element `first` on. Throws Error when this tensor does
  /// not have all of them.
  Tensor view(std::int64_t first, const Shape& shape) const;
  /// A view of entry i along the first dimension. Throws Error when there is none.
  Tensor operator[](std::int64_t i) const;

  Tensor clone() const;
  /// These values in another dtype; the same storage when the dtype is the same.
  ///   To a floating type: rounds. A value beyond the range of float32 becomes Inf.
  ///   To an integer type: rounds real numbers towards 0. Throws Error for a value out of range,
  ///   Inf and NaN.
  ///   To bool: true for every value but 0.
  /// On CUDA both dtypes must be floating.
  Tensor to(DType dtype) const;
  /// These values on another device; the same storage when they are there already. A copy to the
  /// CPU waits for the device.
  Tensor to(Device device) const;
  /// Copies the elements of `source`, which may be on another device, into this tensor's memory.
  /// Throws Error unless shape and dtype are the same.
  void copy_from(const Tensor& source);
  /// Sets every element to `value`. Throws Error when it does not fit the dtype.
  void fill(Scalar value);

  /// True when no other Tensor or mask shares this storage, so that no one else sees a write to it.
  bool is_exclusive() const { return !storage().is_shared(); }
  /// True when both view the same elements, or both are undefined.
  bool is_same_view(const Tensor& other) const {
    return storage_ == other.storage_ && offset_ == other.offset_ && shape_ == other.shape_;
  }

 private:
  friend class Watched;
  friend class UnseenWrites;

  Storage& storage() const {
    if (!storage_) [[unlikely]]
      refuse_undefined();
    return *storage_;
  }
  // Compared as one number.
  struct Kind {
    DType dtype = DType::kFloat32;
    DeviceType device = DeviceType::kCpu;
  };
  void check_kind(Kind wanted) const {
    if (!defined() || std::bit_cast<std::uint16_t>(kind_) != std::bit_cast<std::uint16_t>(wanted))
        [[unlikely]]
      refuse(wanted);
  }
  // Out of line: a call that finds no fault prepares no message.
  [[noreturn]] void refuse(Kind wanted) const;
  [[noreturn]] static void refuse_undefined();
  Scalar only_element() const;
  Tensor to_new_place() const;

  // Wherever it is.
  const std::byte* place() const { return storage_->data() + offset_; }
  std::byte* written() {
    storage_->note_write();
    return storage_->data() + offset_;
  }

  Ref<Storage> storage_;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  Kind kind_;
};

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, Device device) {
  check(static_cast<std::int64_t>(values.size()) == shape.numel(), "tensor",
        "{} values do not fill shape {}", values.size(), shape);
  Tensor result = empty(shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), result.data<T>());
  return result.to(device);
}

/// True when shapes, dtypes and every byte agree (so NaN equals the same NaN, and 0 is not -0).
/// Throws Error for a tensor that was never given a value, and for one that is not on the CPU.
bool is_identical(const Tensor& a, const Tensor& b);

}  // namespace maskgrad
