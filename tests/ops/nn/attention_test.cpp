// Attention against plain loops over its definition. What masks promise is in
// attention_mask_test.cpp.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::leaf;
using test::make;
using test::to_doubles;
using Values = std::vector<double>;

struct Sizes {
  std::int64_t batch, heads, key_heads, queries, keys, features, value_features;
};

Sizes random_sizes(Random& random) {
  const std::int64_t key_heads = random.integer(1, 3);
  return {random.integer(1, 3),
          key_heads * random.integer(1, 3),
          key_heads,
          random.integer(1, 7),
          random.integer(1, 7),
          random.integer(1, 5),
          random.integer(1, 5)};
}

struct Inputs {
  Tensor q, k, v, bias = {};
};

Inputs random_inputs(Random& random, const Sizes& d) {
  return {test::uniform(random, {d.batch, d.heads, d.queries, d.features}),
          test::uniform(random, {d.batch, d.key_heads, d.keys, d.features}),
          test::uniform(random, {d.batch, d.key_heads, d.keys, d.value_features})};
}

struct Settings {
  double scale = 0;    // 0: 1 / sqrt(D)
  double softcap = 0;  // 0: none
};

double element(const Tensor& x, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return x.data<double>()[((a * x.dim(1) + b) * x.dim(2) + c) * x.dim(3) + d];
}

// The score of one pair, as the definition says.
double score(const Inputs& in, const Settings& settings, std::int64_t b, std::int64_t h,
             std::int64_t s, std::int64_t t) {
  const std::int64_t features = in.q.dim(3), key_head = h / (in.q.dim(1) / in.k.dim(1));
  double result = 0;
  for (std::int64_t j = 0; j < features; ++j) {
    result += element(in.q, b, h, s, j) * element(in.k, b, key_head, t, j);
  }
  result *= settings.scale != 0 ? settings.scale : 1 / std::sqrt(static_cast<double>(features));
  if (settings.softcap > 0) result = settings.softcap * std::tanh(result / settings.softcap);
  return in.bias.defined() ? result + element(in.bias, b, h, s, t) : result;
}

// One output row: the mean of the values of kept keys, weighted by exp(score). kept: bool
// [B, H, S, T]; in.bias, if there is one, has that shape too.
Values attend(const Inputs& in, const Tensor& kept, const Settings& settings, std::int64_t b,
              std::int64_t h, std::int64_t s) {
  const std::int64_t value_head = h / (in.q.dim(1) / in.v.dim(1));
  Values row(static_cast<std::size_t>(in.v.dim(3)));
  double sum = 0;
  for (std::int64_t t = 0; t < in.k.dim(2); ++t) {
    if (!kept.data<bool>()[((b * kept.dim(1) + h) * kept.dim(2) + s) * kept.dim(3) + t]) continue;
    const double weight = std::exp(score(in, settings, b, h, s, t));
    sum += weight;
    for (std::size_t j = 0; j < row.size(); ++j) {
      row[j] += weight * element(in.v, b, value_head, t, static_cast<std::int64_t>(j));
    }
  }
  for (double& y : row) y = sum > 0 ? y / sum : 0;
  return row;
}

Values by_definition(Inputs in, const AttentionMask& mask, const Settings& settings = {}) {
  const Shape pairs = {in.q.dim(0), in.q.dim(1), in.q.dim(2), in.k.dim(2)};
  const Tensor kept =
      mask.defined() ? ops::expand(mask.to_bits(), pairs) : Tensor::full(pairs, 1, DType::kBool);
  if (in.bias.defined()) in.bias = ops::expand(in.bias, pairs);
  Values result;
  for (std::int64_t b = 0; b < pairs[0]; ++b) {
    for (std::int64_t h = 0; h < pairs[1]; ++h) {
      for (std::int64_t s = 0; s < pairs[2]; ++s) {
        const Values row = attend(in, kept, settings, b, h, s);
        result.insert(result.end(), row.begin(), row.end());
      }
    }
  }
  return result;
}

Tensor run(const Inputs& in, const AttentionMask& mask, const Settings& settings, DType dtype) {
  ops::AttentionOptions options;
  if (settings.scale != 0) options.scale = settings.scale;
  if (settings.softcap != 0) options.softcap = settings.softcap;
  if (in.bias.defined()) options.bias = Variable(in.bias.to(dtype));
  return ops::scaled_dot_product_attention(Variable(in.q.to(dtype)), Variable(in.k.to(dtype)),
                                           Variable(in.v.to(dtype)), mask, options)
      .value();
}

void expect_by_definition(const Inputs& in, const AttentionMask& mask,
                          const Settings& settings = {}) {
  const Values expected = by_definition(in, mask, settings);
  EXPECT_TRUE(is_close(run(in, mask, settings, DType::kFloat64), expected, 1e-13));
  EXPECT_TRUE(is_close(run(in, mask, settings, DType::kFloat32), expected, 2e-5));
}

// A mask of every kind.
std::vector<AttentionMask> masks_for(Random& random, const Sizes& d) {
  const auto random_bits = [&](const Shape& shape) {
    Tensor bits = Tensor::empty(shape, DType::kBool);
    for (std::int64_t i = 0; i < bits.numel(); ++i) bits.data<bool>()[i] = random.uniform() < 0.6;
    return bits;
  };
  const AttentionMask padding =
      AttentionMask::padding(SequenceMask(random_bits({d.batch, d.keys})), d.queries);
  const AttentionMask causal = AttentionMask::causal(d.queries, d.keys, random.integer(-2, 3));
  std::vector<AttentionMask> masks = {
      {},
      AttentionMask::all(d.queries, d.keys),
      causal,
      AttentionMask::window(d.queries, d.keys, 1, 2),
      AttentionMask::prefix(d.queries, d.keys, 2),
      AttentionMask::window(d.queries, d.keys, 0, 0) | AttentionMask::sink(d.queries, d.keys, 1),
      padding,
      causal & padding,
      ~causal,
      AttentionMask::bits(random_bits({d.queries, d.keys})),
      AttentionMask::bits(random_bits({d.heads, d.queries, d.keys})),
      AttentionMask::bits(random_bits({d.batch, d.heads, d.queries, d.keys}))};
  if (d.queries == d.keys) {
    const Tensor ids = test::uniform(random, {d.batch, d.keys}, -0.99, 2.99).to(DType::kInt32);
    masks.push_back(AttentionMask::segments(ids));
  }
  return masks;
}

TEST(Attention, IsTheDefinitionForEveryKindOfMask) {
  Random random(1);
  for (int i = 0; i < 40; ++i) {
    Sizes d = random_sizes(random);
    if (i % 2) d.keys = d.queries;
    const Inputs in = random_inputs(random, d);
    for (const AttentionMask& mask : masks_for(random, d)) {
      SCOPED_TRACE(fmt::format("{} q {} k {} v {}", mask.defined() ? mask.recipe() : "undefined",
                               in.q.shape(), in.k.shape(), in.v.shape()));
      expect_by_definition(in, mask);
    }
  }
}

TEST(Attention, ScalesCapsAndAddsABiasOfAnyShapeThatBroadcasts) {
  Random random(2);
  for (int i = 0; i < 10; ++i) {
    const Sizes d = random_sizes(random);
    Inputs in = random_inputs(random, d);
    const std::vector<AttentionMask> masks = masks_for(random, d);
    const Shape biases[] = {{},
                            {d.keys},
                            {d.queries, 1},
                            {d.heads, 1, d.keys},
                            {d.batch, 1, d.queries, d.keys},
                            {d.batch, d.heads, d.queries, d.keys}};
    for (const Settings& settings : {Settings{0.3, 0}, Settings{0, 1.5}, Settings{-2, 0.5}}) {
      in.bias = Tensor();
      expect_by_definition(in, masks[static_cast<std::size_t>(random.integer(0, 11))], settings);
      for (const Shape& bias : biases) {
        SCOPED_TRACE(to_string(bias));
        in.bias = test::uniform(random, bias);
        expect_by_definition(in, masks[static_cast<std::size_t>(random.integer(0, 11))], settings);
      }
    }
  }
}

// Central differences of the plain loops themselves, weighted by g.
Tensor differences(const Inputs& in, Tensor x, const AttentionMask& mask, const Settings& settings,
                   const Values& g) {
  constexpr double kStep = 1e-5;
  const auto weighted = [&] {
    const Values y = by_definition(in, mask, settings);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * g[i];
    return sum;
  };
  Tensor result = Tensor::empty(x.shape(), DType::kFloat64);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double before = x.data<double>()[i];
    x.data<double>()[i] = before + kStep;
    const double above = weighted();
    x.data<double>()[i] = before - kStep;
    result.data<double>()[i] = (above - weighted()) / (2 * kStep);
    x.data<double>()[i] = before;
  }
  return result;
}

TEST(Attention, HasTheGradientsOfTheDefinition) {
  Random random(3);
  const Sizes d{2, 4, 2, 3, 4, 2, 3};
  const Settings settings{0.8, 2};
  for (const Shape& bias : {Shape{4, 1, 4}, Shape{3, 4}, Shape{2, 1, 1, 4}}) {
    for (const AttentionMask& mask : masks_for(random, d)) {
      Inputs in = random_inputs(random, d);
      in.bias = test::uniform(random, bias);
      const Variable q = leaf(in.q), k = leaf(in.k), v = leaf(in.v), b = leaf(in.bias);
      Tape tape;
      const Variable y = ops::scaled_dot_product_attention(
          q, k, v, mask, {.bias = b, .scale = settings.scale, .softcap = settings.softcap});
      const Tensor g = test::uniform(random, y.shape());
      tape.backward(y, g);
      for (const Variable& x : {q, k, v, b}) {
        const Tensor expected = differences(in, x.value(), mask, settings, to_doubles(g));
        EXPECT_TRUE(is_close(x.grad(), to_doubles(expected), 1e-8));
      }
    }
  }
}

TEST(Attention, DropsWeightsAtRandomAndScalesTheRest) {
  // With one key the only weight is 1: what comes out is v / (1 - p), or 0.
  const Variable q(Tensor::zeros({1, 1, 4000, 1}, DType::kFloat64)), k(make({1}, {1, 1, 1, 1}));
  const auto run = [&](const Random& random) {
    return to_doubles(ops::scaled_dot_product_attention(q, k, Variable(make({3}, {1, 1, 1, 1})), {},
                                                        {.dropout = 0.25, .random = random})
                          .value());
  };
  const Values y = run(Random(1));
  for (const double value : y) EXPECT_TRUE(value == 0 || std::abs(value - 4) < 1e-14) << value;
  EXPECT_NEAR(static_cast<double>(std::count(y.begin(), y.end(), 0.0)), 1000, 140);
  EXPECT_EQ(run(Random(1)), y);
  EXPECT_NE(run(Random(1, 0, 1)), y);
}

}  // namespace
}  // namespace maskgrad
