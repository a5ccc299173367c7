#include <maskgrad/ops/cuda/words.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::ops {
namespace {

// Of `each` words of a row a thread moves one.
template <class Word>
__global__ void take_rows_kernel(const Word* from, const std::int64_t* rows, std::int64_t each,
                                 std::int64_t count, Word* to) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t row = rows[i / each];
  to[i] = row < 0 ? Word{} : from[row * each + i % each];
}

template <class Word>
__global__ void put_rows_kernel(const Word* from, const std::int64_t* rows, std::int64_t each,
                                std::int64_t count, Word* to) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) to[rows[i / each] * each + i % each] = from[i];
}

void move_rows(RowList which, std::span<const std::int64_t> rows, std::int64_t columns,
               const Tensor& from, Tensor& to) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::uint64_t bytes = static_cast<std::uint64_t>(columns) * size_of(from.dtype());
  if (count == 0 || bytes == 0) return;
  const cuda::Uploaded list(rows);
  const std::byte* const source = device_bytes(from);
  std::byte* const target = device_bytes(to);
  const std::uint64_t all = bytes | alignment_of(source) | alignment_of(target);
  dispatch_word(all, [&]<class Word>(Word) {
    const auto each = static_cast<std::int64_t>(bytes / sizeof(Word));
    const auto kernel = which == RowList::kSources ? take_rows_kernel<Word> : put_rows_kernel<Word>;
    cuda::launch({"rows", cuda::blocks_for(count * each), cuda::kThreads}, kernel,
                 reinterpret_cast<const Word*>(source), list.data(), each, count * each,
                 reinterpret_cast<Word*>(target));
  });
}

const bool kFilled = kBooleanMaskCuda.fill(move_rows) && kBooleanUnmaskCuda.fill(move_rows) &&
                     kUnmaskFillCuda.fill(move_rows) && kReversePackedSegsCuda.fill(move_rows) &&
                     kReverseSegmentOrderCuda.fill(move_rows) && kIndexSelectCuda.fill(move_rows) &&
                     kGatherCuda.fill(move_rows);

}  // namespace
}  // namespace maskgrad::ops
