// Faulty versions of attention, by plain loops over its definition.
#include <cmath>

#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

#include "ops/mutants/mutant_families.hpp"
#include "support/heads.hpp"

namespace maskgrad::test {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// Values summed with dense products, in which 0 stands for what is masked.
Tensor dense_values(const OpCall& call) {
  const Shape w = call.input("weights").shape(), v = call.input("v").shape();
  const Values weights = values_of(call, "weights"), values = values_of(call, "v"),
               keep = bits_of(call, w);
  Values out(at(w.with_dim(3, v[3]).numel()));
  for (std::int64_t row = 0; row < w[0] * w[1] * w[2]; ++row) {
    const std::int64_t head = row / w[2], group = w[1] / v[1];
    const std::int64_t first = (head / w[1] * v[1] + head % w[1] / group) * v[2];
    for (std::int64_t t = 0; t < v[2]; ++t) {
      for (std::int64_t d = 0; d < v[3]; ++d) {
        out[at(row * v[3] + d)] += keep[at(row * w[3] + t)] * weights[at(row * w[3] + t)] *
                                   values[at((first + t) * v[3] + d)];
      }
    }
  }
  return make(out, w.with_dim(3, v[3]), call.input("v").dtype());
}

std::int64_t heads_of(const OpCall& call) { return call.arg<std::int64_t>("heads"); }

// The same call with the keys in rows, and the heads of its inputs apart.
OpCall with_heads_apart(OpCall call) {
  const std::int64_t heads = heads_of(call);
  Variable& keys = call.inputs["k"];
  if (keys.rank() > call.input("q").rank()) {
    keys = Variable(ops::from_key_blocks(keys.value(), call.input("v").dim(1)));
  }
  if (heads == 1) return call;
  const std::int64_t features = call.input("q").dim(2) / heads,
                     key_heads = call.input("k").dim(2) / features;
  for (const char* name : {"q", "k", "v"}) {
    Variable& x = call.inputs[name];
    x = Variable(heads_apart(x.value(), name[0] == 'q' ? heads : key_heads));
  }
  call.args["heads"] = std::int64_t{1};
  return call;
}

// The inputs of one call as plain numbers.
struct Call {
  explicit Call(const OpCall& given) : Call(with_heads_apart(given), 0) {}
  Call(const OpCall& call, int)
      : q_shape(call.input("q").shape()),
        v_shape(call.input("v").shape()),
        pairs({q_shape[0], q_shape[1], q_shape[2], v_shape[2]}),
        q(values_of(call, "q")),
        k(values_of(call, "k")),
        v(values_of(call, "v")),
        keep(bits_of(call, pairs)),
        bias(call.has("bias") ? to_doubles(ops::expand(call.input("bias").value(), pairs))
                              : Values(at(pairs.numel()))),
        scale(call.arg<double>("scale")),
        softcap(call.arg<double>("softcap")),
        drop(at(pairs.numel()), 1) {
    if (std::isnan(scale)) scale = 1 / std::sqrt(static_cast<double>(q_shape[3]));
    const double p = call.arg<double>("dropout");
    Random random(static_cast<std::uint64_t>(call.arg<std::int64_t>("seed")),
                  stream_of("attention"));
    for (double& factor : drop) factor = p > 0 && random.uniform() < p ? 0 : 1 / (1 - p);
  }

  std::int64_t rows() const { return pairs[0] * pairs[1] * pairs[2]; }
  // The first key of the head that a row reads.
  std::int64_t first_key(std::int64_t row) const {
    const std::int64_t head = row / pairs[2], group = pairs[1] / v_shape[1];
    return (head / pairs[1] * v_shape[1] + head % pairs[1] / group) * pairs[3];
  }
  double score(std::int64_t row, std::int64_t t) const {
    double sum = 0;
    for (std::int64_t d = 0; d < q_shape[3]; ++d) {
      sum += q[at(row * q_shape[3] + d)] * k[at((first_key(row) + t) * q_shape[3] + d)];
    }
    sum *= scale;
    if (!std::isnan(softcap)) sum = softcap * std::tanh(sum / softcap);
    return sum + bias[at(row * pairs[3] + t)];
  }

  Shape q_shape, v_shape, pairs;
  Values q, k, v, keep, bias;
  double scale, softcap;
  Values drop;  // what a weight is multiplied with
};

// Weights of a row from its scores and what is kept of it.
using Weigh = void (*)(const double* scores, const double* keep, double* weights, std::size_t n);

// exp(score - top of the scores where `counts`), divided by their sum; 0 elsewhere.
template <class Counts>
void softmax_where(const double* scores, double* weights, std::size_t n, Counts counts) {
  double top = -HUGE_VAL, sum = 0;
  for (std::size_t t = 0; t < n; ++t) top = counts(t) ? std::max(top, scores[t]) : top;
  for (std::size_t t = 0; t < n; ++t) sum += weights[t] = counts(t) ? std::exp(scores[t] - top) : 0;
  for (std::size_t t = 0; t < n; ++t) weights[t] /= sum;
}

void weigh(const double* scores, const double* keep, double* weights, std::size_t n) {
  softmax_where(scores, weights, n, [=](std::size_t t) { return keep[t] != 0; });
  for (std::size_t t = 0; t < n; ++t) weights[t] = keep[t] != 0 ? weights[t] : 0;
}
void weigh_by_a_billion(const double* scores, const double* keep, double* weights, std::size_t n) {
  Values lowered(n);
  for (std::size_t t = 0; t < n; ++t) lowered[t] = scores[t] - 1e9 * (1 - keep[t]);
  softmax_where(lowered.data(), weights, n, [](std::size_t) { return true; });
}
void weigh_all_and_zero(const double* scores, const double* keep, double* weights, std::size_t n) {
  softmax_where(scores, weights, n, [](std::size_t) { return true; });
  for (std::size_t t = 0; t < n; ++t) weights[t] = keep[t] != 0 ? weights[t] : 0;
}
void weigh_without_a_look_at_empty_rows(const double* scores, const double* keep, double* weights,
                                        std::size_t n) {
  softmax_where(scores, weights, n, [=](std::size_t t) { return keep[t] != 0; });
}
void weigh_up_to_the_last_kept(const double* scores, const double* keep, double* weights,
                               std::size_t n) {
  std::size_t end = n;
  while (end > 0 && keep[end - 1] == 0) --end;
  softmax_where(scores, weights, n, [=](std::size_t t) { return t < end; });
  for (std::size_t t = end; t < n; ++t) weights[t] = 0;
}

// Where `skips`, values of weight 0 are not read.
template <Weigh weights_of, bool skips>
Tensor attend(const OpCall& call) {
  const Call in(call);
  const std::int64_t keys = in.pairs[3], features = in.v_shape[3];
  Values out(at(in.rows() * features)), scores(at(keys)), weights(at(keys));
  for (std::int64_t row = 0; row < in.rows(); ++row) {
    for (std::int64_t t = 0; t < keys; ++t) scores[at(t)] = in.score(row, t);
    weights_of(scores.data(), &in.keep[at(row * keys)], weights.data(), at(keys));
    for (std::int64_t t = 0; t < keys; ++t) {
      const double weight = weights[at(t)] * in.drop[at(row * keys + t)];
      if (skips && weight == 0) continue;
      for (std::int64_t d = 0; d < features; ++d) {
        out[at(row * features + d)] += weight * in.v[at((in.first_key(row) + t) * features + d)];
      }
    }
  }
  const Tensor output = make(out, in.pairs.with_dim(3, features), call.input("v").dtype());
  return heads_of(call) == 1 ? output : heads_together(output);
}

const std::string kAttention = "scaled_dot_product_attention";

// dv_t = sum_s p_st g_s over all s, those too whose weight is 0.
Gradient dense_value_gradient(const OpCall& call, const Tensor& g) {
  Gradient gradient = true_gradient(kAttention, call, g);
  const Call in(call);
  const std::int64_t keys = in.pairs[3], features = in.v_shape[3];
  const std::int64_t heads = heads_of(call);
  const Values grad = to_doubles(heads == 1 ? g : heads_apart(g, heads));
  Values dv(in.v.size()), scores(at(keys)), weights(at(keys));
  for (std::int64_t row = 0; row < in.rows(); ++row) {
    for (std::int64_t t = 0; t < keys; ++t) scores[at(t)] = in.score(row, t);
    weigh(scores.data(), &in.keep[at(row * keys)], weights.data(), at(keys));
    for (std::int64_t i = 0; i < keys * features; ++i) {
      dv[at(in.first_key(row) * features + i)] += weights[at(i / features)] *
                                                  in.drop[at(row * keys + i / features)] *
                                                  grad[at(row * features + i % features)];
    }
  }
  const Tensor of_heads = make(dv, in.v_shape, call.input("v").dtype());
  gradient["v"] = heads == 1 ? of_heads : heads_together(of_heads);
  return gradient;
}

// The gradients of the call whose arguments have changed.
template <class Change>
auto gradient_after(Change change) {
  return [change](OpCall call, const Tensor& g) {
    change(call);
    return true_gradient(kAttention, call, g);
  };
}

}  // namespace

Tensor attention_by_its_definition(const OpCall& call) { return attend<weigh, true>(call); }

std::vector<Mutant> mutants_of_attention() {
  return {
      {"MultipliesMaskedValuesByZero", "attention_values", dense_values},
      {"AttentionMultipliesMaskedValuesByZero", kAttention, attend<weigh, false>},
      {"AttentionAddsMinusABillionToMaskedScores", kAttention, attend<weigh_by_a_billion, true>},
      {"AttentionZeroesWeightsAfterwards", kAttention, attend<weigh_all_and_zero, true>},
      {"AttentionDividesByNothing", kAttention, attend<weigh_without_a_look_at_empty_rows, true>},
      {"AttentionFillsTheGapsOfARow", kAttention, attend<weigh_up_to_the_last_kept, true>},
      {"AttentionMultipliesGradientsByZero", kAttention, {}, dense_value_gradient},
      {"AttentionForgetsWhatItDropped", kAttention, {}, gradient_after([](OpCall& call) {
         call.args["dropout"] = 0.0;
       })},
      {"AttentionForgetsTheCap", kAttention, {}, gradient_after([](OpCall& call) {
         call.args["softcap"] = std::nan("");
       })},
      {"AttentionForgetsTheBias", kAttention, {}, gradient_after([](OpCall& call) {
         if (!call.has("bias")) return;
         const Variable& bias = call.input("bias");
         call.inputs["bias"] = leaf(Tensor::zeros(bias.shape(), bias.dtype()));
       })},
  };
}

const bool kRegistered = register_mutants(mutants_of_attention);

}  // namespace maskgrad::test
