// Sums in the order of cpu/row_sums.hpp, so that they have the CPU's bits.
#include <algorithm>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cuda/row_tree.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>

namespace maskgrad {
namespace {

template <class T>
__global__ void add_into_kernel(T* total, const T* term, std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) total[i] += term[i];
}

void add_into_on_device(Tensor& total, const Tensor& term) {
  dispatch_dtype(FloatingTypes{}, total.dtype(), "add_into", [&]<class T>(T) {
    cuda::launch({"add_into", cuda::blocks_for(total.numel()), cuda::kThreads}, add_into_kernel<T>,
                 total.device_data<T>(), term.device_data<T>(), total.numel());
  });
}

template <class T>
__global__ void scale_into_kernel(T* to, const T* from, const T* factor, std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) to[i] = from[i] * *factor;
}

void scale_into_on_device(Tensor& to, const Tensor& from, double factor) {
  dispatch_dtype(FloatingTypes{}, to.dtype(), "scale_into", [&]<class T>(T) {
    const cuda::Uploaded uploaded(static_cast<T>(factor));
    cuda::launch({"scale_into", cuda::blocks_for(to.numel()), cuda::kThreads}, scale_into_kernel<T>,
                 to.device_data<T>(), from.device_data<T>(), uploaded.data(), to.numel());
  });
}

// A warp for each row.
constexpr unsigned kLanes = 32, kWarps = cuda::kThreads / kLanes;

template <class T>
__global__ void clear_rows_kernel(T* x, const std::int64_t* rows, std::int64_t count,
                                  std::int64_t columns) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (i >= count || rows[i] < 0) return;
  T* const row = x + rows[i] * columns;
  for (std::int64_t j = threadIdx.x; j < columns; j += kLanes) row[j] = T{0};
}

// As many warps as rows are given, each of which may be there several times: steps with other rows
// launch the same.
void clear_rows_on_device(Tensor& x, std::span<const std::int64_t> rows) {
  PoolVector<std::int64_t> once(rows.begin(), rows.end());
  std::sort(once.begin(), once.end());
  std::fill(std::unique(once.begin(), once.end()), once.end(), -1);
  const std::int64_t count = std::ssize(rows);
  const cuda::Uploaded which{std::span<const std::int64_t>(once)};
  dispatch_dtype(FloatingTypes{}, x.dtype(), "clear_rows", [&]<class T>(T) {
    cuda::launch({"clear_rows", cuda::blocks_for(count, kWarps), dim3(kLanes, kWarps)},
                 clear_rows_kernel<T>, x.device_data<T>(), which.data(), count,
                 x.numel() / x.dim(0));
  });
}

// Of `outer` matrices: `size` numbers each, in rows of `columns`, the last of which may be short.
// Rows are added in blocks of kRowsOfBlock.
struct SumSizes {
  std::int64_t outer, size, columns, blocks;
};

// Adjacent numbers, as a sum over the last axis has them, are 16 columns, which are added last.
SumSizes sum_sizes(std::int64_t outer, std::int64_t along, std::int64_t inner) {
  const std::int64_t columns = inner == 1 ? kLanesOfTerms : inner;
  const std::int64_t of_block = columns * kRowsOfBlock;
  return {outer, along * inner, columns, (along * inner + of_block - 1) / of_block};
}

// partial [outer, blocks, columns]: a thread for the rows of one block in one column.
template <class T>
__global__ void sum_blocks_kernel(const T* x, SumSizes sizes, T* partial) {
  const std::int64_t i = cuda::thread_number();
  if (i >= sizes.outer * sizes.blocks * sizes.columns) return;
  const std::int64_t column = i % sizes.columns, block = i / sizes.columns % sizes.blocks;
  const T* const of_run = x + i / sizes.columns / sizes.blocks * sizes.size;
  const std::int64_t first = block * kRowsOfBlock * sizes.columns + column;
  T total = 0;
  for (std::int64_t row = 0; row < kRowsOfBlock; ++row) {
    const std::int64_t at = first + row * sizes.columns;
    if (at < sizes.size) total += of_run[at];
  }
  partial[i] = total;
}

// Adds up the blocks in a balanced tree of their indices. A block of threads has 16 columns of one
// run, and as many threads for each of them.
constexpr unsigned kColumnsOfTile = 16, kThreadsOfColumn = 16;

template <class T>
__global__ void add_blocks_kernel(T* partial, SumSizes sizes, bool adds_columns, T* sums) {
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumnsOfTile + threadIdx.x;
  const bool has_column = column < sizes.columns && sizes.blocks > 0;
  T* const first = partial + blockIdx.y * sizes.blocks * sizes.columns + column;
  cuda::add_rows_in_tree(first, sizes.blocks, sizes.columns, has_column);
  T total = has_column ? *first : T{0};
  if (adds_columns) total = cuda::sum_of_lanes(total, kLanesOfTerms);
  if (threadIdx.y > 0 || column >= sizes.columns) return;
  if (!adds_columns) {
    sums[blockIdx.y * sizes.columns + column] = total;
  } else if (column == 0) {
    sums[blockIdx.y] = total;
  }
}

template <class T>
void sum_along(const Tensor& x, const SumSizes& sizes, bool adds_columns, Tensor& sums) {
  constexpr std::int64_t kMostRuns = 65535;  // of one grid
  Tensor partial = Tensor::empty({sizes.outer, sizes.blocks, sizes.columns}, x.dtype(), x.device());
  cuda::launch({"sum_to", cuda::blocks_for(partial.numel()), cuda::kThreads}, sum_blocks_kernel<T>,
               x.device_data<T>(), sizes, partial.device_data<T>());
  for (std::int64_t run = 0; run < sizes.outer; run += kMostRuns) {
    const dim3 grid(cuda::blocks_for(sizes.columns, kColumnsOfTile),
                    static_cast<unsigned>(std::min(kMostRuns, sizes.outer - run)));
    cuda::launch({"sum_to", grid, dim3(kColumnsOfTile, kThreadsOfColumn)}, add_blocks_kernel<T>,
                 partial.device_data<T>() + run * sizes.blocks * sizes.columns, sizes, adds_columns,
                 sums.device_data<T>() + run * (adds_columns ? 1 : sizes.columns));
  }
}

const bool kFilled = kAddIntoCuda.fill(add_into_on_device) &&
                     kScaleIntoCuda.fill(scale_into_on_device) &&
                     kClearRowsCuda.fill(clear_rows_on_device) &&
                     kSumAlongCuda.fill([](const Tensor& x, std::int64_t outer, std::int64_t along,
                                           std::int64_t inner, Tensor& sums) {
                       if (sums.numel() == 0) return;
                       dispatch_dtype(FloatingTypes{}, x.dtype(), "sum_to", [&]<class T>(T) {
                         sum_along<T>(x, sum_sizes(outer, along, inner), inner == 1, sums);
                       });
                     });

}  // namespace
}  // namespace maskgrad
