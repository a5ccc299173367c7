#include <algorithm>
#include <cstring>

#include <maskgrad/ops/shape/row_moves.hpp>

namespace maskgrad::ops {
namespace {

std::int64_t columns_of(const Tensor& x) { return x.shape().slice(1, x.rank()).numel(); }

std::size_t row_bytes(const Tensor& x) {
  return static_cast<std::size_t>(columns_of(x)) * size_of(x.dtype());
}

// Rows of no bytes have no address that memcpy takes.
void copy_row(std::byte* to, std::int64_t to_row, const std::byte* from, std::int64_t from_row,
              std::size_t bytes) {
  if (bytes == 0) return;
  std::memcpy(to + static_cast<std::size_t>(to_row) * bytes,
              from + static_cast<std::size_t>(from_row) * bytes, bytes);
}

}  // namespace

Tensor take_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> from) {
  const auto rows = static_cast<std::int64_t>(from.size());
  Tensor y = Tensor::empty(x.shape().with_dim(0, rows), x.dtype(), x.device());
  const auto on_cpu = [&] {
    for (std::int64_t i = 0; i < rows; ++i) {
      copy_row(y.raw_data(), i, x.raw_data(), from[static_cast<std::size_t>(i)], row_bytes(x));
    }
  };
  dispatch_device(x.device(), op, on_cpu, RowList::kSources, from, columns_of(x), x, y);
  return y;
}

Tensor put_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> to,
                std::int64_t rows, Scalar fill) {
  Tensor y = Tensor::full(x.shape().with_dim(0, rows), fill, x.dtype(), x.device());
  place_rows(op, x, to, y);
  return y;
}

void place_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> to, Tensor& y) {
  const auto on_cpu = [&] {
    for (std::size_t i = 0; i < to.size(); ++i) {
      copy_row(y.raw_data(), to[i], x.raw_data(), static_cast<std::int64_t>(i), row_bytes(x));
    }
  };
  dispatch_device(x.device(), op, on_cpu, RowList::kTargets, to, columns_of(x), x, y);
}

Tensor true_places(const Tensor& mask) {
  const auto bits = mask.values<bool>();
  Tensor places = Tensor::empty({std::count(bits.begin(), bits.end(), true)}, DType::kInt64);
  auto* next = places.data<std::int64_t>();
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) *next++ = static_cast<std::int64_t>(i);
  }
  return places;
}

}  // namespace maskgrad::ops
