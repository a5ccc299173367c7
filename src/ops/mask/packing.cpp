#include <limits>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/checked.hpp>

namespace maskgrad::ops {
namespace {

using Dims = PoolVector<std::int64_t>;

// The dimensions of x behind its first two, with others before them.
Dims with_front(std::initializer_list<std::int64_t> front, const Variable& x) {
  Dims dims(front.begin(), front.end());
  const auto tail = x.shape().dims().subspan(2);
  dims.insert(dims.end(), tail.begin(), tail.end());
  return dims;
}

Tensor flat_bits(const SequenceMask& mask) {
  return mask.bits().reshape(Shape{mask.bits().numel()});
}

}  // namespace

void check_packable(const SequenceMask& mask) {
  check(mask.defined(), "pack",
        "the mask was used before it was given a value; there is no padding to leave out");
  check(mask.shape()[1] <= std::numeric_limits<std::int32_t>::max(), "pack",
        "{} positions in a row are too many", mask.shape()[1]);
}

Work operator+(const Work& a, const Work& b) {
  return {checked_add("pack", "work for a position", a.per_position, b.per_position),
          checked_add("pack", "work for a pair", a.per_pair, b.per_pair)};
}

Packing packing_of(const SequenceMask& mask) {
  check_packable(mask);
  const std::int64_t length = mask.shape()[1];
  Tensor segments = Tensor::empty({1, mask.kept()}, DType::kInt64);
  Tensor positions = Tensor::empty({1, mask.kept()}, DType::kInt64);
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < mask.bits().numel(); ++i) {
    if (!mask.bits().data<bool>()[i]) continue;
    segments.data<std::int64_t>()[next] = i / length;
    positions.data<std::int64_t>()[next++] = i % length;
  }
  return {mask, segments, positions};
}

Variable pack(const Variable& x, const Packing& packing) {
  check_given(x.defined(), "pack", "the input");
  check_given(packing.mask.defined(), "pack", "the packing");
  const SequenceMask& mask = packing.mask;
  check(x.shape().starts_with(mask.shape()), "pack", "a packing of {} does not fit a value of {}",
        mask.shape(), x.shape());
  check(!x.mask().defined() || x.mask() == mask, "pack",
        "the value carries another mask than the packing's");
  // Its holes are what boolean_mask leaves out.
  const Variable rows = reshape(drop_mask(x), with_front({mask.bits().numel()}, x));
  const Variable kept = boolean_mask(rows, flat_bits(mask)).output;
  return reshape(kept, with_front({1, kept.dim(0)}, x));
}

Variable unpack(const Variable& x, const Packing& packing, Scalar fill) {
  check_given(x.defined(), "unpack", "the input");
  check_given(packing.mask.defined() && packing.segments.defined(), "unpack", "the packing");
  const SequenceMask& mask = packing.mask;
  const std::int64_t kept = packing.segments.numel();
  check(x.rank() >= 2 && x.dim(0) == 1 && x.dim(1) == kept, "unpack",
        "needs a row of {} positions, got {}", kept, x.shape());
  check(!x.mask().defined(), "unpack", "all of the row exists, but it carries a mask");
  const Variable rows = unmask_fill(reshape(x, with_front({kept}, x)), flat_bits(mask), fill);
  const Variable batch = reshape(rows, with_front({mask.shape()[0], mask.shape()[1]}, x));
  return with_mask(batch, mask, fill);
}

}  // namespace maskgrad::ops
