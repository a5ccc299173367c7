#include <maskgrad/ops/cuda/gemm/multiply.hpp>

namespace maskgrad::ops::cuda_gemm {
namespace {

// The sum of the terms of a group, in chains.
template <class T>
__device__ T sum_of_group(const Factor<T>& left, const T* a, bool of_ones, const Factor<T>& right,
                          const T* b, bool by_ones, const BatchSum::Group& group) {
  const std::int64_t samples = group.terms.samples(), of_chain = group.terms.of_chain();
  T total = 0;
  for (std::int64_t chain = 0; chain < group.terms.length(); chain += of_chain) {
    const std::int64_t end = std::min(chain + of_chain, group.terms.length());
    T sum = 0;
    for (std::int64_t t = chain; t < end; ++t) {
      for (std::int64_t s = 0; s < samples; ++s) {
        const std::int64_t p = group.first + t + s * group.terms.step();
        sum = math::multiply_add(of_ones ? T{1} : a[p * left.term],
                                 by_ones ? T{1} : b[p * right.term], sum);
      }
    }
    total = chain == 0 ? sum : total + sum;
  }
  return total;
}

// A thread for each sum.
template <class T>
__global__ void element_kernel(Products<T> f) {
  const std::int64_t i = cuda::thread_number();
  if (i >= f.count * f.size()) return;
  const std::int64_t column = i % f.right.all_rows(),
                     row = i / f.right.all_rows() % f.left.all_rows(), b = i / f.size();
  const Places<T> at = places_of(f, b);
  T levels[64], total = 0;  // of the tree: sums of 2^k groups
  std::uint64_t live = 0;
  for (std::int64_t g = 0; g < f.sum.groups(); ++g) {
    const BatchSum::Group group = f.sum.group(g);
    bool has = group.terms.length() > 0;
    T carry = has ? sum_of_group(f.left, at.left + row * f.left.outer, row >= f.left.rows, f.right,
                                 at.right + column * f.right.outer, column >= f.right.rows, group)
                  : T{0};
    int k = 0;
    for (; g >> k & 1; ++k) {
      if (!(live >> k & 1)) continue;
      carry = has ? carry + levels[k] : levels[k];
      has = true;
      live &= ~(std::uint64_t{1} << k);
    }
    if (!has) continue;
    levels[k] = carry;
    live |= std::uint64_t{1} << k;
  }
  bool has = false;
  for (int k = 0; live >> k; ++k) {
    if (!(live >> k & 1)) continue;
    total = has ? total + levels[k] : levels[k];
    has = true;
  }
  finish(f, b, row, column, total);
}

}  // namespace

template <class T>
void multiply(const Products<T>& f) {
  cuda::launch({"matmul", cuda::blocks_for(f.count * f.size()), cuda::kThreads}, element_kernel<T>,
               f);
}

template void multiply(const Products<float>&);
template void multiply(const Products<double>&);

}  // namespace maskgrad::ops::cuda_gemm
