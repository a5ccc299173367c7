#include "recipes/distractors/token_drops.hpp"

#include <algorithm>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/train/data/arithmetic.hpp>

#include "recipes/distractors/selective_model.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kTimes = 4;

Tensor repeated(const Tensor& x) {
  Tensor rows = Tensor::empty(x.shape().with_dim(0, x.dim(0) * kTimes), x.dtype());
  const std::int64_t each = x.dim(0) ? x.numel() / x.dim(0) : 0;
  for (std::int64_t r = 0; r < rows.dim(0); ++r) {
    std::copy_n(x.data<std::int64_t>() + r / kTimes * each, each,
                rows.data<std::int64_t>() + r * each);
  }
  return rows;
}

}  // namespace

SequenceMask existing(const Batch& batch) {
  return SequenceMask::from_tokens(batch.inputs, kPadToken);
}

Variable tokens_with(const Batch& batch, const SequenceMask& mask) {
  return Variable(batch.inputs, Variable::kConstant, mask);
}

SequenceMask random_drops(const Batch& batch, double most, Pass& pass) {
  const SequenceMask exists = existing(batch);
  const Variable tokens = tokens_with(batch, exists);
  const Random shares = pass.random("shares"), drops = pass.random("drops");
  const Tensor places = pass.places(tokens);
  Tensor bits = exists.bits().clone();
  const std::int64_t length = bits.dim(1);
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    Random share = shares, drop = drops;
    share.skip_uniforms(static_cast<std::uint64_t>(i / length));
    drop.skip_uniforms(static_cast<std::uint64_t>(places.data<std::int64_t>()[i]));
    const double lost = most * (2 * share.uniform() - 1);
    if (drop.uniform() < lost) bits.data<bool>()[i] = false;
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
  const Random fades = pass.random("fades");
  const Tensor places = pass.places(logits);
  Tensor u = Tensor::empty(keep.shape(), DType::kFloat64);
  for (std::int64_t i = 0; i < u.numel(); ++i) {
    Random fade = fades;
    fade.skip_uniforms(static_cast<std::uint64_t>(places.data<std::int64_t>()[i]));
    u.data<double>()[i] = kMost * fade.uniform();
  }
  return ops::exp(ops::multiply(Variable(u.to(keep.dtype())), keep - 1));
}

Batch four_of_each(const Batch& batch) {
  const Batch part = batch.part(0, std::max<std::int64_t>(1, batch.size() / kTimes));
  Batch rows;
  rows.inputs = repeated(part.inputs);
  rows.targets = repeated(part.targets);
  for (const BatchTensor& other : part.others) {
    rows.others.push_back({other.name, repeated(other.tensor)});
  }
  return rows;
}

}  // namespace maskgrad::apps
