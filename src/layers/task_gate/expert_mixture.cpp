#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/task_gate/expert_mixture.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>

namespace maskgrad {
namespace {

// Which samples of x [B, S, ...] have a position, bool [B, 1].
Tensor samples_of(const Variable& x) {
  const std::int64_t batch = x.dim(0), length = x.dim(1);
  Tensor exists = Tensor::full({batch, 1}, length > 0, DType::kBool);
  for (std::int64_t b = 0; b < batch && x.mask().defined(); ++b) {
    const bool* const row = x.mask().bits().data<bool>() + b * length;
    exists.data<bool>()[b] = std::find(row, row + length, true) != row + length;
  }
  return exists;
}

// [B] or [B, 1] -> [B, 1, 1, ...] for values of this rank.
Shape column(std::int64_t batch, int rank) {
  PoolVector<std::int64_t> dims(static_cast<std::size_t>(rank), 1);
  dims[0] = batch;
  return Shape(dims);
}

// 1 at the best candidate, 0 at the others: [B, C].
Tensor hard(const Choice& choice) {
  Tensor one = Tensor::zeros(choice.shares.shape(), DType::kBool);
  const auto best = choice.best.values<std::int64_t>();
  for (std::size_t b = 0; b < best.size(); ++b) {
    if (best[b] >= 0) {
      one.data<bool>()[static_cast<std::int64_t>(b) * choice.shares.dim(1) + best[b]] = true;
    }
  }
  return one.to(choice.shares.dtype()).to(choice.shares.device());
}

// y with NaN for samples whose shares are NaN, which a best expert alone would hide.
Variable where_known(const Variable& y, const Variable& shares) {
  const Tensor is_known = bits_where("mixture", shares.value(), [](auto g) { return g == g; });
  const std::int64_t batch = shares.dim(0), experts = shares.dim(1);
  Tensor known = Tensor::full(column(batch, y.rank()), true, DType::kBool);
  bool all = true;
  for (std::int64_t i = 0; i < is_known.numel(); ++i) {
    if (is_known.data<bool>()[i]) continue;
    known.data<bool>()[i / experts] = all = false;
  }
  return all ? y : ops::keep_where(y, known, std::numeric_limits<double>::quiet_NaN());
}

// y with 0 for samples without a choice.
Variable where_chosen(const Variable& y, const Tensor& best) {
  const auto numbers = best.values<std::int64_t>();
  Tensor chosen = Tensor::empty(column(best.numel(), y.rank()), DType::kBool);
  std::transform(numbers.begin(), numbers.end(), chosen.data<bool>(),
                 [](std::int64_t candidate) { return candidate >= 0; });
  const bool all = std::all_of(numbers.begin(), numbers.end(), [](auto c) { return c >= 0; });
  return all ? y : ops::keep_where(y, chosen);
}

}  // namespace

ExpertMixture::ExpertMixture(std::string kind, std::int64_t features, Experts experts,
                             Mixing mixing)
    : Layer(std::move(kind), OfLayers{}),
      features_(checked_features(this->kind().c_str(), features)),
      mixing_(mixing) {
  const char* const name = this->kind().c_str();
  check(!experts.empty(), name, "needs an expert");
  for (std::unique_ptr<Layer>& expert : experts) {
    experts_.push_back(&submodule(fmt::format("expert{}", experts_.size()), std::move(expert)));
  }
}

Layer& ExpertMixture::expert(std::size_t number) const {
  check(number < size(), kind().c_str(), "has no expert {}, only {}", number, size());
  return *experts_[number];
}

Choice ExpertMixture::choose(const Variable& x, Pass& pass, double temperature) {
  const Scope scope(name());
  return chosen(x, pass, temperature);
}

Choice ExpertMixture::chosen(const Variable& x, Pass& pass, double temperature) {
  const char* const name = kind().c_str();
  check_given(x.defined(), name, "its input");
  check(pass.packing() == nullptr, name, "reads whole sequences, which a packed row has not");
  check_sequences(name, x, features_);
  check(std::isfinite(temperature) && temperature > 0 && std::isfinite(1 / temperature), name,
        "needs a temperature above 0, got {}", temperature);
  const Tensor exists = samples_of(x);
  return choice_of(shares(x, exists, temperature, pass), exists);
}

PoolVector<Variable> ExpertMixture::all(const Variable& v, Pass& pass) const {
  PoolVector<Variable> outputs;
  for (Layer* const expert : experts_) {
    outputs.push_back((*expert)(v, pass));
    check(outputs.back().rank() > 0, kind().c_str(), "expert {} gives a number, not [B, ...]",
          outputs.size() - 1);
    check(outputs.back().shape() == outputs[0].shape(), kind().c_str(),
          "expert {} gives {}, and expert 0 {}", outputs.size() - 1, outputs.back().shape(),
          outputs[0].shape());
  }
  return outputs;
}

Variable ExpertMixture::soft(const Variable& weights, const PoolVector<Variable>& outputs) const {
  Variable y;
  for (std::size_t c = 0; c < outputs.size(); ++c) {
    const auto number = static_cast<std::int64_t>(c);
    const Variable weight = ops::reshape(ops::slice(weights, 1, number, number + 1),
                                         column(outputs[c].dim(0), outputs[c].rank()).dims());
    const Variable part = ops::multiply(outputs[c], weight);
    y = y.defined() ? ops::add(y, part) : part;
  }
  return y;
}

// Each expert on its own samples; where one has none, it does not run.
Variable ExpertMixture::each_its_own(const Tensor& best, const Variable& v, Pass& pass) const {
  PoolVector<Variable> outputs;
  Tensor places = Tensor::zeros(best.shape(), DType::kInt64);
  std::int64_t done = 0;
  for (std::size_t c = 0; c < size(); ++c) {
    PoolVector<std::int64_t> samples;
    for (std::int64_t b = 0; b < best.numel(); ++b) {
      // A sample without a choice goes to the first, and is set to 0 behind.
      if (std::max<std::int64_t>(best.data<std::int64_t>()[b], 0) != static_cast<std::int64_t>(c)) {
        continue;
      }
      places.data<std::int64_t>()[b] = done++;
      samples.push_back(b);
    }
    if (samples.empty() && (c > 0 || best.numel() > 0)) continue;
    Tensor of_expert = Tensor::empty({std::ssize(samples)}, DType::kInt64);
    std::copy(samples.begin(), samples.end(), of_expert.data<std::int64_t>());
    outputs.push_back((*experts_[c])(ops::index_select(v, 0, of_expert), pass));
  }
  return ops::index_select(ops::concat(outputs, 0), 0, places);
}

Variable ExpertMixture::best(const Choice& choice, const Variable& v, Pass& pass) const {
  if (pass.is_training()) {
    // hard + shares - their values: hard to the bit, with the gradient of the shares.
    const Variable none = ops::subtract(choice.shares, Variable(choice.shares.value()));
    return soft(ops::add(none, Variable(hard(choice))), all(v, pass));
  }
  if (!pass.has_pairs() && !pass.is_reading()) {
    return where_known(each_its_own(choice.best, v, pass), choice.shares);
  }
  const PoolVector<Variable> outputs = all(v, pass);
  Tensor places = Tensor::zeros(choice.best.shape(), DType::kInt64);
  for (std::int64_t b = 0; b < places.numel(); ++b) {
    const std::int64_t candidate = std::max<std::int64_t>(choice.best.data<std::int64_t>()[b], 0);
    places.data<std::int64_t>()[b] = candidate * places.numel() + b;
  }
  return where_known(ops::index_select(ops::concat(outputs, 0), 0, places), choice.shares);
}

Variable ExpertMixture::mix(const Choice& choice, const Variable& v, Pass& pass, Mixing mixing) {
  const Scope scope(name());
  return mixed(choice, v, pass, mixing);
}

Variable ExpertMixture::mixed(const Choice& choice, const Variable& v, Pass& pass,
                              Mixing mixing) const {
  const char* const name = kind().c_str();
  check_given(v.defined() && choice.shares.defined() && choice.best.defined(), name, "an input");
  check(pass.packing() == nullptr, name, "reads whole sequences, which a packed row has not");
  const auto experts = static_cast<std::int64_t>(size());
  check(v.rank() > 0 && choice.shares.shape() == Shape({v.dim(0), experts}) &&
            choice.best.shape() == Shape({v.dim(0)}),
        name, "shares {} do not fit {} experts and {}", choice.shares.shape(), size(), v.shape());
  check_best(name, choice.best, experts);
  const Variable y =
      mixing == Mixing::kBest ? best(choice, v, pass) : soft(choice.shares, all(v, pass));
  return where_chosen(y, choice.best);
}

Variable ExpertMixture::forward(const Variable& x, Pass& pass) {
  return mixed(chosen(x, pass, /*temperature=*/1), x, pass, mixing_);
}

}  // namespace maskgrad
