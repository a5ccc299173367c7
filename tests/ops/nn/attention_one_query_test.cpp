// Attention of one query, which has a loop of its own.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::kInf;
using test::leaf;
using test::same_bits;
using test::to_doubles;

// Rows of [1, S, H D], where heads share a row.
struct Inputs {
  Tensor q, k, v;
  std::int64_t heads;

  Inputs from_query(std::int64_t s) const {
    const std::int64_t width = q.dim(2);
    return {q.view(s * width, {1, 1, width}), k.view(0, {1, s + 1, k.dim(2)}),
            v.view(0, {1, s + 1, v.dim(2)}), heads};
  }
};

Inputs draw(Random& random, std::int64_t rows, std::int64_t heads, std::int64_t features,
            DType dtype) {
  const auto one = [&](std::int64_t width) {
    return test::uniform(random, {1, rows, width}).to(dtype);
  };
  return {one(heads * features), one(heads * features), one(heads * features), heads};
}

Tensor attend(const Inputs& in, const ops::AttentionPlan& plan) {
  ops::AttentionOptions options;
  options.heads = in.heads;
  return ops::scaled_dot_product_attention(Variable(in.q), Variable(in.k), Variable(in.v), plan,
                                           options)
      .value();
}

TEST(AttentionOfOneQuery, HasTheBitsOfTheQueryAmongOthers) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t features : {1, 7, 16, 32, 70, 600}) {
      const std::int64_t rows = features > 100 ? 70 : 1100;
      const Inputs all = draw(random, rows, 2, features, dtype);
      const Tensor together = attend(all, AttentionMask::causal(rows));
      for (const std::int64_t s : {0, 1, 15, 16, 62, 63, 64, 69, 511, 512, 700, 1099}) {
        if (s >= rows) continue;
        const Tensor alone = attend(all.from_query(s), {});
        EXPECT_TRUE(same_bits(alone, together.view(s * alone.numel(), alone.shape())))
            << "query " << s << " of " << features << " features";
      }
    }
  }
}

TEST(AttentionOfOneQuery, SendsBackWhatPlainOperationsSend) {
  Random random(2);
  const Tensor q = test::uniform(random, {2, 2, 1, 5}), k = test::uniform(random, {2, 2, 90, 5}),
               v = test::uniform(random, {2, 2, 90, 3}), g = test::uniform(random, {2, 2, 1, 3});
  const auto gradients = [&](auto attention) {
    const Variable of_q = leaf(q), of_k = leaf(k), of_v = leaf(v);
    Tape tape;
    tape.backward(attention(of_q, of_k, of_v), g);
    return std::vector<Tensor>{of_q.grad(), of_k.grad(), of_v.grad()};
  };
  const AttentionMask all = AttentionMask::all(1, 90);
  const auto got =
      gradients([&](const auto&... x) { return ops::scaled_dot_product_attention(x..., all); });
  const auto expected = gradients([&](const auto&... x) {
    return ops::composed_attention(x..., all, ops::AttentionOptions());
  });
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(is_close(got[i], to_doubles(expected[i]), 1e-12));
  }
}

TEST(AttentionOfOneQuery, IsZeroWhereAllScoresAreMinusInfinityAndNaNWhereOneIsNaN) {
  Random random(3);
  Inputs in = draw(random, 70, 1, 4, DType::kFloat32);
  in.q.fill(1.0);
  in.k.fill(-kInf);
  const Inputs one = in.from_query(69);
  EXPECT_TRUE(same_bits(attend(one, {}), Tensor::zeros({1, 1, 4}, DType::kFloat32)));
  in.k.fill(0.5);
  in.k.view(3, {}).fill(test::kNaN);
  for (const double y : to_doubles(attend(in.from_query(69), {}))) EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace maskgrad
