#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/product_slots.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad::ops {

ProductMath product_math_of(std::string_view name, std::string_view flag) {
  const auto found = std::ranges::find(kProductMathNames, name);
  check(found != kProductMathNames.end(), "math", "{} must be one of {}, not '{}'", flag,
        fmt::join(kProductMathNames, ", "), shortened(name));
  return static_cast<ProductMath>(found - kProductMathNames.begin());
}

void check_math_of_device(ProductMath math, Device device, std::string_view flag,
                          std::string_view device_flag) {
  if (math == ProductMath::kFloat32 || device.type == DeviceType::kCuda) return;
  const std::string_view name = to_string(math);
  const std::string why = why_no_cuda();
  check(why.empty(), "math", "{} {} is for a GPU: give {} float32, as {}", flag, name, flag, why);
  fail("math", "{} {} is for a GPU, and the device is {}: give {} cuda, or {} float32", flag, name,
       to_string(device.type), device_flag, flag);
}

void check_math_of_dtype(ProductMath math, DType dtype, std::string_view flag,
                         std::string_view dtype_flag) {
  check(math == ProductMath::kFloat32 || dtype == DType::kFloat32, "math",
        "{} {} multiplies float32, and {} is {}: give {} float32", flag, to_string(math),
        dtype_flag, to_string(dtype), flag);
}

void set_product_math(ProductMath math) {
  if (math != ProductMath::kFloat32) {
    need_cuda_build();
    cuda_memory->check_usable();
    dispatch_device(Device{DeviceType::kCuda}, kTensorCoresCuda, [] {});
  }
  detail::product_math = math;
}

void check_product_math(const char* name, DType dtype, Device device) {
  const ProductMath math = product_math();
  if (math == ProductMath::kFloat32) return;
  check(dtype == DType::kFloat32 && device.type == DeviceType::kCuda, name,
        "{} multiplies float32 on cuda, and was given {} on {}: take the math float32",
        to_string(math), to_string(dtype), to_string(device.type));
}

}  // namespace maskgrad::ops
