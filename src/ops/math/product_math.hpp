// How a CUDA device multiplies matrices of float32.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// How each product a b of two float32 numbers is computed, in products of matrices on a CUDA
/// device. t(x) is x as a TF32 number: with 10 bits of mantissa instead of 23, rounded to nearest,
/// ties away from zero. It is x (1 + e), |e| <= 2^-11.
enum class ProductMath : std::uint8_t {
  /// a b, by fused multiply-add.
  kFloat32,
  /// t(a) t(b), by tensor cores: a b (1 + e), |e| < 2^-10 + 2^-22.
  kTf32,
  /// t(a) t(b) + (t(a) t(b - t(b)) + t(a - t(a)) t(b)), by tensor cores: a b (1 + e), |e| < 2^-21
  /// where |a| and |b| are at least 2^-103. What is left of smaller ones may be denormal and count
  /// as 0: e may be as large as with kTf32. Three products, each exact. "3xTF32" of CUTLASS; after
  /// Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores while surpassing
  /// the FP32 theoretical peak performance".
  kTf32x3
};
/// Their names, in this order.
inline constexpr std::array<std::string_view, 3> kProductMathNames = {"float32", "tf32", "tf32x3"};

constexpr std::string_view to_string(ProductMath math) {
  return kProductMathNames[static_cast<std::size_t>(math)];
}
/// The one of that name. Throws Error for other names; `flag` is what errors call the setting.
ProductMath product_math_of(std::string_view name, std::string_view flag = "the product math");

namespace detail {
inline constinit std::atomic<ProductMath> product_math = ProductMath::kFloat32;
}  // namespace detail

/// That of the process; kFloat32 at the start.
///
/// What goes by it: matmul, linear, stacked_matmul, stacked_linear, and the layers that multiply by
/// them, forward and backward; and the gradient of w of lstm and gru. float32 always: attention,
/// what lstm and gru multiply step by step, and the sums over rows for the gradient of a bias. What
/// goes by it must be float32 on a CUDA device: anything else throws Error "[matmul] ...".
///
/// Each sum has the same order whatever the number of rows, samples and threads, and the same bits
/// in every run on one kind of GPU. The GPU adds eight products at once, and may round their sum
/// toward zero. The exception are products that cuBLAS has: their order may depend on the number of
/// rows. With kTf32 it has those that it has with kFloat32, by CUBLAS_COMPUTE_32F_FAST_TF32, and
/// rounds factors in its own way. It has none with kTf32x3.
/// A product is infinite or NaN where that of float32 is, but for factors below 2^-126, which TF32
/// may round to 0. Next to the largest float32 number either may be infinite where the other is
/// not.
inline ProductMath product_math() { return detail::product_math.load(std::memory_order_relaxed); }

/// Throws Error "[math] --math tf32 is for a GPU, and ..." unless `device` is one. `flag` and
/// `device_flag` are what errors call the settings.
void check_math_of_device(ProductMath math, Device device, std::string_view flag,
                          std::string_view device_flag);

/// Throws Error "[math] --math tf32 multiplies float32, and --dtype is float64: give --math
/// float32" for another dtype than float32. `flag` and `dtype_flag` are what errors call the
/// settings.
void check_math_of_dtype(ProductMath math, DType dtype, std::string_view flag,
                         std::string_view dtype_flag);

/// Throws Error unless this build and this machine have a CUDA device that can do it: tensor cores
/// need compute capability 8.0. Requires that nothing is multiplied meanwhile.
void set_product_math(ProductMath math);

/// Sets it, and sets it back at the end of its life.
class WithProductMath {
 public:
  explicit WithProductMath(ProductMath math) : before_(product_math()) { set_product_math(math); }
  ~WithProductMath() { detail::product_math = before_; }
  WithProductMath(const WithProductMath&) = delete;
  WithProductMath& operator=(const WithProductMath&) = delete;

 private:
  ProductMath before_;
};

/// Throws Error "[name] ..." unless factors of this dtype on this device can be multiplied by
/// product_math().
void check_product_math(const char* name, DType dtype, Device device);

}  // namespace maskgrad::ops
