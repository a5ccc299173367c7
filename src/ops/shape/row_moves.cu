#include <maskgrad/ops/cuda/rows.hpp>
#include <maskgrad/ops/cuda/words.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::ops {
namespace {

void move_rows(RowList which, std::span<const std::int64_t> rows, std::int64_t columns,
               const Tensor& from, Tensor& to) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(columns) * size_of(from.dtype());
  if (rows.empty() || bytes == 0) return;
  const cuda::Uploaded list(rows);
  const std::byte* const source = device_bytes(from);
  std::byte* const target = device_bytes(to);
  const std::uint64_t all = bytes | alignment_of(source) | alignment_of(target);
  dispatch_word(all, [&]<class Word>(Word) {
    const auto kernel = which == RowList::kSources ? take_rows_kernel<Word> : put_rows_kernel<Word>;
    const auto words = static_cast<std::int64_t>(bytes / sizeof(Word));
    launch_rows_of_list("rows", kernel, {list.data(), std::ssize(rows), words},
                        reinterpret_cast<const Word*>(source), reinterpret_cast<Word*>(target));
  });
}

const bool kFilled = kBooleanMaskCuda.fill(move_rows) && kBooleanUnmaskCuda.fill(move_rows) &&
                     kUnmaskFillCuda.fill(move_rows) && kReversePackedSegsCuda.fill(move_rows) &&
                     kReverseSegmentOrderCuda.fill(move_rows) && kIndexSelectCuda.fill(move_rows) &&
                     kGatherCuda.fill(move_rows);

}  // namespace
}  // namespace maskgrad::ops
