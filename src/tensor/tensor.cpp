#include <cmath>
#include <cstring>
#include <new>

#include <maskgrad/tensor/cpu/traffic.hpp>
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

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor result;
  result.shape_ = shape;
  result.dtype_ = dtype;
  try {
    result.storage_ = Storage::allocate(result.nbytes(), device);
  } catch (const std::bad_alloc&) {
    fail("tensor", "{} {} takes {} bytes, which the system does not have", to_string(dtype), shape,
         result.nbytes());
  }
  return result;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  std::memset(result.raw_data(), 0, result.nbytes());
  Traffic::add_filled(result.nbytes());
  return result;
}

Tensor Tensor::full(const Shape& shape, Scalar value, DType dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  result.fill(value);
  return result;
}

void Tensor::refuse_undefined() { fail("tensor", "used before it was given a value"); }

void Tensor::refuse(DType wanted) const {
  if (!defined()) refuse_undefined();
  fail("tensor", "holds {}, not {}", to_string(dtype_), to_string(wanted));
}

Scalar Tensor::only_element() const {
  storage();
  check(numel() == 1, "tensor", "item() needs exactly one element, the shape is {}", shape_);
  Scalar element = false;
  dispatch_dtype(AllTypes{}, dtype_, "tensor", [&]<class T>(T) { element = *data<T>(); });
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
  result.offset_ += static_cast<std::size_t>(first) * size_of(dtype_);
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
  Tensor result = empty(shape_, dtype_, device());
  std::memcpy(result.raw_data(), raw_data(), nbytes());
  Traffic::add_copied(nbytes());
  return result;
}

Tensor Tensor::to(DType dtype) const {
  storage();
  if (dtype == dtype_) return *this;
  Tensor result = empty(shape_, dtype, device());
  Traffic::add_copied(result.nbytes());
  dispatch_dtype(AllTypes{}, dtype_, "tensor", [&]<class From>(From) {
    dispatch_dtype(AllTypes{}, dtype, "tensor", [&]<class To>(To) {
      std::transform(data<From>(), data<From>() + numel(), result.data<To>(), convert<To, From>);
    });
  });
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  storage(), source.storage();
  check(source.shape_ == shape_ && source.dtype_ == dtype_, "tensor",
        "cannot copy {} {} into {} {}", to_string(source.dtype_), source.shape_, to_string(dtype_),
        shape_);
  if (is_same_view(source)) return;
  std::memmove(raw_data(), source.raw_data(), nbytes());
  Traffic::add_copied(nbytes());
}

void Tensor::fill(Scalar value) {
  Traffic::add_filled(nbytes());
  dispatch_dtype(AllTypes{}, dtype_, "tensor", [&]<class T>(T) {
    std::fill_n(data<T>(), numel(), value.to<T>("tensor", "fill"));
  });
}

bool is_identical(const Tensor& a, const Tensor& b) {
  const std::byte *of_a = a.raw_data(), *of_b = b.raw_data();
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(of_a, of_b, a.nbytes()) == 0;
}

}  // namespace maskgrad
