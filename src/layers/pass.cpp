#include <maskgrad/layers/pass.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

Tensor counted_from_zero(const Shape& shape) {
  Tensor positions = Tensor::empty(shape, DType::kInt64);
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t i = 0; i < shape.numel(); ++i) p[i] = i % shape[1];
  return positions;
}

// The number of each kept position within its row.
Tensor counted_where_kept(const SequenceMask& mask) {
  const Shape& shape = mask.shape();
  Tensor positions = Tensor::zeros(shape, DType::kInt64);
  const bool* keep = mask.bits().data<bool>();
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t b = 0; b < shape[0]; ++b) {
    std::int64_t next = 0;
    for (std::int64_t i = b * shape[1]; i < (b + 1) * shape[1]; ++i) {
      if (keep[i]) p[i] = next++;
    }
  }
  return positions;
}

// The number of each position of a packed row within its sequence.
Tensor counted_in_segments(const Tensor& segments) {
  Tensor positions = Tensor::empty(segments.shape(), DType::kInt64);
  const std::int64_t* segment = segments.data<std::int64_t>();
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t i = 0; i < segments.numel(); ++i) {
    p[i] = i > 0 && segment[i] == segment[i - 1] ? p[i - 1] + 1 : 0;
  }
  return positions;
}

}  // namespace

Pass Pass::training(std::uint64_t seed, std::uint64_t step) {
  Pass pass;
  pass.random_ = {seed, step};
  return pass;
}

Pass Pass::on_row(const ops::Packing& packing) const {
  check_given(packing.segments.defined(), "pass", "the packing");
  check(packing_ == nullptr, "pass", "the batch is packed already");
  check(!has_pairs(), "pass", "a batch whose attention has pairs of its own cannot be packed");
  Pass pass;
  pass.random_ = random_;
  pass.packing_ = &packing;
  return pass;
}

Random Pass::random(std::string_view use) const {
  check(is_training(), "pass",
        "has no random numbers: it is inference; use Pass::training(seed, step) to train");
  PoolVector<char> path;  // no malloc in a steady step
  const auto append = [&](std::string_view name) {
    if (!path.empty()) path.push_back('.');
    path.insert(path.end(), name.begin(), name.end());
  };
  Scope::for_each(append);
  if (!use.empty()) append(use);
  return Random(random_->seed, stream_of({path.data(), path.size()}), random_->step);
}

void Pass::set_pairs(AttentionMask pairs) {
  check(packing_ == nullptr, "pass", "a packed row cannot have pairs of its own");
  pairs_ = std::move(pairs);
  made_.clear();
}

Pass::OfMask& Pass::of(const Variable& x) {
  check(x.rank() >= 2, "pass", "a value of {} has no positions; it needs [B, S, ...]", x.shape());
  const Shape shape = x.shape().slice(0, 2);
  if (packing_ != nullptr) {
    check(shape == packing_->segments.shape(), "pass",
          "a value of {} does not stand on the packed row of {} positions", x.shape(),
          packing_->segments.numel());
  }
  for (OfMask& made : made_) {
    if (made.shape == shape && made.mask == x.mask()) return made;
  }
  return made_.emplace_back(OfMask{x.mask(), shape, {}, {}});
}

ops::AttentionPlan Pass::plan_of(const SequenceMask& mask, std::int64_t length) const {
  if (packing_ != nullptr) return packing_->attention();
  if (mask.defined()) return ops::AttentionPlan::existing(mask, pairs_);
  return has_pairs() ? pairs_ : AttentionMask::all(length, length);
}

ops::AttentionPlan Pass::attention(const Variable& x) {
  check_given(x.defined(), "pass", "the input of attention");
  OfMask& made = of(x);
  if (!made.attention.defined()) made.attention = plan_of(x.mask(), made.shape[1]);
  return made.attention;
}

Tensor Pass::positions(const Variable& x) {
  check_given(x.defined(), "pass", "the value whose positions are asked for");
  OfMask& made = of(x);
  if (made.positions.defined()) return made.positions;
  if (packing_ != nullptr) {
    made.positions = counted_in_segments(packing_->segments);
  } else {
    made.positions =
        x.mask().defined() ? counted_where_kept(x.mask()) : counted_from_zero(made.shape);
  }
  return made.positions;
}

}  // namespace maskgrad
