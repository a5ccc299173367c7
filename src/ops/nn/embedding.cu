#include <algorithm>

#include <maskgrad/ops/cpu/rows/taken_rows.hpp>
#include <maskgrad/ops/cuda/rows.hpp>
#include <maskgrad/tensor/cuda/row_tree.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::ops {
namespace {

void take_rows(std::span<const std::int64_t> rows, const Tensor& table, Tensor& y) {
  if (y.numel() == 0) return;
  const cuda::Uploaded which(rows);
  const RowsOfList list = {which.data(), std::ssize(rows), y.numel() / std::ssize(rows)};
  dispatch_dtype(FloatingTypes{}, y.dtype(), "embedding", [&]<class T>(T) {
    launch_rows_of_list("embedding", take_rows_kernel<T>, list, table.device_data<T>(),
                        y.device_data<T>());
  });
}

constexpr unsigned kLanes = 32, kWarps = cuda::kThreads / kLanes;

using Block = Occurrences::Block;

// A warp sums a block of places in 32 columns; where these are very many, it goes on with others.
// The sums of a row with several blocks go to parts [parts, columns]. A block without places is
// left out.
template <class T>
__global__ void sum_blocks_kernel(const Block* blocks, std::int64_t count,
                                  const std::int64_t* places, const T* x, std::int64_t columns,
                                  T* table, T* parts) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (i >= count) return;
  const Block block = blocks[i];
  if (block.begin == block.end) return;
  T* const to = block.part < 0 ? table + block.row * columns : parts + block.part * columns;
  const std::int64_t step = std::int64_t{gridDim.y} * kLanes;
  for (std::int64_t j = std::int64_t{blockIdx.y} * kLanes + threadIdx.x; j < columns; j += step) {
    T sum = 0;
    for (std::int64_t k = block.begin; k < block.end; ++k) sum += x[places[k] * columns + j];
    to[j] = sum;
  }
}

// The blocks of one row: parts [first, first + count).
struct PartsOfRow {
  std::int64_t row, first, count;
};

PoolVector<PartsOfRow> rows_with_parts(const PoolVector<Block>& blocks) {
  PoolVector<PartsOfRow> rows;
  for (const Block& block : blocks) {
    if (block.part < 0) continue;
    if (rows.empty() || rows.back().row != block.row) rows.push_back({block.row, block.part, 0});
    ++rows.back().count;
  }
  return rows;
}

// table[row] = the sum of its parts, in a balanced tree of their indices. A block of threads has a
// row and 32 columns; where these are very many, it goes on with others.
template <class T>
__global__ void add_parts_kernel(const PartsOfRow* rows, std::int64_t columns, T* parts, T* table) {
  const PartsOfRow of_row = rows[blockIdx.x];
  const std::int64_t stride = std::int64_t{gridDim.y} * kLanes;
  for (std::int64_t first = std::int64_t{blockIdx.y} * kLanes; first < columns; first += stride) {
    const std::int64_t j = first + threadIdx.x;
    T* const part = parts + of_row.first * columns + j;
    cuda::add_rows_in_tree(part, of_row.count, columns, j < columns);
    if (of_row.count > 0 && threadIdx.y == 0 && j < columns)
      table[of_row.row * columns + j] = *part;
  }
}

// What a step launches and uploads must not depend on which rows its places hold. So there are as
// many blocks as there can be, and the rest of them are empty.
struct MostOf {
  std::int64_t blocks, parts, rows_with_parts;
};
MostOf most_of(std::int64_t places, std::int64_t table) {
  const std::int64_t whole = places / kRowsOfBlock;
  return {std::min(places, table) + whole, 2 * whole, std::min(whole, table)};
}

template <class U>
cuda::Uploaded<U> padded(const auto& values, std::int64_t size) {
  PoolVector<U> all(values.begin(), values.end());
  all.resize(static_cast<std::size_t>(size));
  return cuda::Uploaded{std::span<const U>(all)};
}

template <class T>
void sum_places(const Occurrences& occurrences, const MostOf& most, const Tensor& x,
                std::int64_t columns, Tensor& table) {
  constexpr std::int64_t kMost = 65535;  // of a grid's second dimension
  const auto tiles =
      static_cast<unsigned>(std::min(kMost, (columns + kLanes - 1) / std::int64_t{kLanes}));
  const auto blocks = padded<Block>(occurrences.blocks(), most.blocks);
  const auto places = padded<std::int64_t>(occurrences.places(), x.numel() / columns);
  Tensor parts = Tensor::empty({most.parts, columns}, x.dtype(), x.device());
  cuda::launch(
      {"embedding", dim3(cuda::blocks_for(most.blocks, kWarps), tiles), dim3(kLanes, kWarps)},
      sum_blocks_kernel<T>, blocks.data(), most.blocks, places.data(), x.device_data<T>(), columns,
      table.device_data<T>(), parts.device_data<T>());
  const auto rows = padded<PartsOfRow>(rows_with_parts(occurrences.blocks()), most.rows_with_parts);
  cuda::launch(
      {"embedding", dim3(cuda::blocks_for(most.rows_with_parts, 1), tiles), dim3(kLanes, kWarps)},
      add_parts_kernel<T>, rows.data(), columns, parts.device_data<T>(), table.device_data<T>());
}

void sum_taken(std::span<const std::int64_t> rows, const Tensor& x, Tensor& table) {
  if (x.numel() == 0 || table.numel() == 0) return;
  const std::int64_t columns = x.numel() / std::ssize(rows), of_table = table.numel() / columns;
  const Occurrences occurrences(rows, of_table);
  const MostOf most = most_of(std::ssize(rows), of_table);
  dispatch_dtype(FloatingTypes{}, x.dtype(), "embedding",
                 [&]<class T>(T) { sum_places<T>(occurrences, most, x, columns, table); });
}

const bool kFilled = kTakeRowsCuda.fill(take_rows) && kSumTakenCuda.fill(sum_taken);

}  // namespace
}  // namespace maskgrad::ops
