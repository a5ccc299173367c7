#include <maskgrad/ops/cuda/gemm/multiply.hpp>
#include <maskgrad/ops/cuda/gemm/tensor_cores.hpp>

#include "cuda/test_products.hpp"

namespace maskgrad::test {

namespace gemm = ops::cuda_gemm;

ProductPlan plan_of(const ops::MatrixProduct& product, DType dtype, bool has_sums) {
  return dispatch_dtype(FloatingTypes{}, dtype, "test", [&]<class T>(T) -> ProductPlan {
    auto products = gemm::products_of<T>(product, nullptr, nullptr, nullptr);
    products.left.ones = has_sums ? 1 : 0;
    const gemm::Plan plan = gemm::plan_of(products);
    return {static_cast<int>(plan.kernel), plan.groups_of_piece};
  });
}

void multiply(const ops::MatrixProduct& product, const ProductPlan& plan, const Tensor& a,
              const Tensor& b, Tensor& y, Tensor sums) {
  dispatch_dtype(FloatingTypes{}, y.dtype(), "test", [&]<class T>(T) {
    auto products =
        gemm::products_of(product, a.device_data<T>(), b.device_data<T>(), y.device_data<T>());
    if (sums.defined()) {
      products.left.ones = 1;
      products.sums = sums.device_data<T>();
    }
    gemm::multiply(products,
                   gemm::Plan{static_cast<gemm::Kernel>(plan.kernel), plan.groups_of_piece});
  });
}

MmaPlan mma_plan_of(const ops::MatrixProduct& product, ops::ProductMath math) {
  const auto products = gemm::products_of<float>(product, nullptr, nullptr, nullptr);
  const gemm::MmaPlan plan = gemm::mma_plan_of(products, math);
  return {plan.has_large_tiles, plan.groups_of_piece};
}

void multiply_by_tensor_cores(const ops::MatrixProduct& product, ops::ProductMath math,
                              const MmaPlan& plan, const Tensor& a, const Tensor& b, Tensor& y) {
  const auto products = gemm::products_of(product, a.device_data<float>(), b.device_data<float>(),
                                          y.device_data<float>());
  gemm::multiply_by_tensor_cores(products, math, {plan.has_large_tiles, plan.groups_of_piece});
}

}  // namespace maskgrad::test
