#include "recipes/distractors/token_drops.hpp"

#include <algorithm>

#include <maskgrad/layers/uniform_by_place.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/operators.hpp>

#include "recipes/distractors/selective_model.hpp"

namespace maskgrad::apps {
namespace {

Tensor repeated(const Tensor& x, std::int64_t times) {
  Tensor rows = Tensor::empty(x.shape().with_dim(0, x.dim(0) * times), x.dtype());
  const std::int64_t each = x.dim(0) ? x.numel() / x.dim(0) : 0;
  for (std::int64_t r = 0; r < rows.dim(0); ++r) {
    std::copy_n(x.data<std::int64_t>() + r / times * each, each,
                rows.data<std::int64_t>() + r * each);
  }
  return rows;
}

}  // namespace

Variable tokens_with(const Batch& batch, const SequenceMask& mask) {
  return Variable(batch.inputs, Variable::kConstant, mask);
}

SequenceMask random_drops(const Batch& batch, double most, Pass& pass) {
  const SequenceMask exists = existing(batch);
  const Tensor drop = uniform_by_place(tokens_with(batch, exists), pass, "drops");
  Random share = pass.random("shares");
  Tensor bits = exists.bits().clone();
  const std::int64_t length = bits.dim(1);
  for (std::int64_t b = 0; b < bits.dim(0); ++b) {
    const double lost = most * (2 * share.uniform() - 1);
    for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
      if (drop.data<double>()[i] < lost) bits.data<bool>()[i] = false;
    }
  }
  return with_asking(SequenceMask(bits), batch.inputs);
}

SequenceMask by_turns(const SequenceMask& even, const SequenceMask& odd) {
  Tensor bits = even.bits().clone();
  const std::int64_t length = bits.dim(1);
  for (std::int64_t b = 1; b < bits.dim(0); b += 2) {
    std::copy_n(odd.bits().data<bool>() + b * length, length, bits.data<bool>() + b * length);
  }
  return SequenceMask(bits);
}

Variable faded(const Variable& keep, const Variable& logits, Pass& pass) {
  constexpr double kMost = 16;
  const Variable u(uniform_by_place(logits, pass, "fades").to(keep.dtype()).to(keep.device()));
  const Variable decided(keep.value(), Variable::kConstant, keep.mask());
  const Variable saved =
      (decided - 1) * (u - 1);  // of a lost token's fade, so that u of it is left
  return ops::exp((keep - 1 + saved) * kMost);
}

Batch several_of_each(const Batch& batch, std::int64_t times) {
  const Batch part = batch.part(0, std::max<std::int64_t>(1, batch.size() / times));
  Batch rows;
  rows.inputs = repeated(part.inputs, times);
  rows.targets = repeated(part.targets, times);
  for (const BatchTensor& other : part.others) {
    rows.others.push_back({other.name, repeated(other.tensor, times)});
  }
  return rows;
}

}  // namespace maskgrad::apps
