#include <cmath>
#include <cstring>
#include <new>

#include <maskgrad/tensor/cast.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {
namespace {

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    return Scalar(std::trunc(x)).to<To>("tensor", "the value");
  } else if constexpr (std::is_integral_v<To> && sizeof(To) < sizeof(From)) {
    return Scalar(x).to<To>("tensor", "the value");
  } else {
    return static_cast<To>(x);
  }
}

bool is_on_cpu(const Tensor& x) { return x.device().type == DeviceType::kCpu; }

// What `make` returns: memory for a tensor of this kind.
template <class F>
Ref<Storage> memory_for(const Shape& shape, DType dtype, Device device, std::size_t bytes, F make) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    const bool is_here = device.type == DeviceType::kCpu;
    fail("tensor", "{} {} takes {} bytes, which the {} does not have{}{}", to_string(dtype), shape,
         bytes, is_here ? "system" : "device", is_here ? "" : "; ",
         is_here ? "" : kWayToLessMemory);
  }
}

// Of a number as an element of the type T holds it.
template <class T>
std::uint64_t bits_of(T value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor result;
  result.shape_ = shape;
  result.kind_ = {dtype, device.type};
  const std::size_t bytes = result.nbytes();
  result.storage_ =
      memory_for(shape, dtype, device, bytes, [&] { return Storage::allocate(bytes, device); });
  return result;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  Traffic::add_filled(result.nbytes());
  if (device.type == DeviceType::kCpu) {
    std::memset(result.raw_data(), 0, result.nbytes());
  } else {
    cuda_memory->fill(result.written(), 1, 0, result.nbytes());
  }
  return result;
}

Tensor Tensor::full(const Shape& shape, Scalar value, DType dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  result.fill(value);
  return result;
}

void Tensor::refuse_undefined() { fail("tensor", "used before it was given a value"); }

void Tensor::refuse(Kind wanted) const {
  if (!defined()) refuse_undefined();
  check(dtype() == wanted.dtype, "tensor", "holds {}, not {}", to_string(dtype()),
        to_string(wanted.dtype));
  check(wanted.device != DeviceType::kCpu, "tensor",
        "is on {}: the host cannot read it; bring it there with to(Device{{}})",
        to_string(kind_.device));
  fail("tensor", "is on {}: a kernel for {} cannot read it", to_string(kind_.device),
       to_string(wanted.device));
}

Scalar Tensor::only_element() const {
  storage();
  check(numel() == 1, "tensor", "item() needs exactly one element, the shape is {}", shape_);
  if (!is_on_cpu(*this)) return to(Device{}).only_element();
  Scalar element = false;
  dispatch_dtype(AllTypes{}, dtype(), "tensor", [&]<class T>(T) { element = *data<T>(); });
  return element;
}

Tensor Tensor::reshape(const Shape& shape) const {
  storage();
  check(shape.numel() == numel(), "reshape", "{} does not have the {} elements of {}", shape,
        numel(), shape_);
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::reshape(std::initializer_list<std::int64_t> dims) const {
  storage();
  return reshape(infer_shape("reshape", std::span(dims.begin(), dims.size()), numel()));
}

Tensor Tensor::view(std::int64_t first, const Shape& shape) const {
  storage();
  check(first >= 0 && shape.numel() <= numel() - first, "tensor",
        "a view of {} elements from {} does not lie inside {}", shape.numel(), first, shape_);
  Tensor result = *this;
  result.offset_ += static_cast<std::size_t>(first) * size_of(dtype());
  result.shape_ = shape;
  return result;
}

Tensor Tensor::operator[](std::int64_t i) const {
  storage();
  check(rank() > 0 && i >= 0 && i < shape_[0], "tensor", "{} has no entry {}", shape_, i);
  const Shape entry = shape_.slice(1, rank());
  return view(i * entry.numel(), entry);
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape_, dtype(), device());
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(DType wanted) const {
  storage();
  if (wanted == dtype()) return *this;
  Tensor result = empty(shape_, wanted, device());
  Traffic::add_copied(result.nbytes());
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, dtype(), "tensor", [&]<class From>(From) {
      dispatch_dtype(AllTypes{}, wanted, "tensor", [&]<class To>(To) {
        std::transform(data<From>(), data<From>() + numel(), result.data<To>(), convert<To, From>);
      });
    });
  };
  dispatch_device(device(), kCastCuda, on_cpu, *this, result);
  return result;
}

Tensor Tensor::to(Device wanted) const {
  if (wanted == device()) return *this;
  if (is_on_cpu(*this) && wanted.type != DeviceType::kCpu) {
    const std::size_t bytes = nbytes();
    Traffic::add_copied(bytes);
    Tensor result = *this;
    result.kind_.device = wanted.type;
    result.offset_ = 0;
    result.storage_ = memory_for(shape_, dtype(), wanted, bytes,
                                 [&] { return Storage::upload(place(), bytes, wanted); });
    return result;
  }
  Tensor result = empty(shape_, dtype(), wanted);
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  storage(), source.storage();
  check(source.shape_ == shape_ && source.dtype() == dtype(), "tensor",
        "cannot copy {} {} into {} {}", to_string(source.dtype()), source.shape_,
        to_string(dtype()), shape_);
  if (is_same_view(source)) return;
  Traffic::add_copied(nbytes());
  const bool from_cpu = is_on_cpu(source), to_cpu = is_on_cpu(*this);
  std::byte* const to = written();
  if (from_cpu && to_cpu) {
    std::memmove(to, source.place(), nbytes());
  } else if (from_cpu) {
    cuda_memory->upload(to, source.place(), nbytes());
  } else if (to_cpu) {
    cuda_memory->download(to, source.place(), nbytes());
  } else {
    // What overlaps is copied apart first.
    const Tensor apart = storage_ == source.storage_ ? source.to_new_place() : source;
    cuda_memory->copy(to, apart.place(), nbytes());
  }
}

// A copy on the same CUDA device.
Tensor Tensor::to_new_place() const {
  Tensor copied = empty(shape_, dtype(), device());
  cuda_memory->copy(copied.written(), place(), nbytes());
  return copied;
}

void Tensor::fill(Scalar value) {
  Traffic::add_filled(nbytes());
  dispatch_dtype(AllTypes{}, dtype(), "tensor", [&]<class T>(T) {
    const T element = value.to<T>("tensor", "fill");
    if (is_on_cpu(*this)) {
      std::fill_n(data<T>(), numel(), element);
    } else {
      cuda_memory->fill(written(), sizeof(T), bits_of(element), static_cast<std::size_t>(numel()));
    }
  });
}

bool is_identical(const Tensor& a, const Tensor& b) {
  const std::byte *of_a = a.raw_data(), *of_b = b.raw_data();
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(of_a, of_b, a.nbytes()) == 0;
}

}  // namespace maskgrad
