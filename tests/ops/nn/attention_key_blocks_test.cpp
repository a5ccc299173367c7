// Keys in blocks, and attention of one query over them, which has a loop of its own.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::kInf;
using test::leaf;
using test::same_bits;
using test::to_doubles;

struct Sizes {
  std::int64_t batch, queries, keys, heads, key_heads, features, value_features;
};

// Rows [B, S, H D], where heads share a row.
struct Inputs {
  Tensor q, k, v;
  std::int64_t heads;
};

Inputs draw(Random& random, const Sizes& d, DType dtype) {
  const auto one = [&](std::int64_t rows, std::int64_t width) {
    return test::uniform(random, {d.batch, rows, width}).to(dtype);
  };
  return {one(d.queries, d.heads * d.features), one(d.keys, d.key_heads * d.features),
          one(d.keys, d.key_heads * d.value_features), d.heads};
}

Tensor attend(const Inputs& in, const Tensor& keys, const ops::AttentionPlan& plan,
              ops::AttentionOptions options = {}) {
  options.heads = in.heads;
  return ops::scaled_dot_product_attention(Variable(in.q), Variable(keys), Variable(in.v), plan,
                                           options)
      .value();
}
Tensor attend_to_rows(const Inputs& in, const ops::AttentionPlan& plan,
                      const ops::AttentionOptions& options = {}) {
  return attend(in, in.k, plan, options);
}
Tensor attend_to_blocks(const Inputs& in, const ops::AttentionPlan& plan,
                        const ops::AttentionOptions& options = {}) {
  return attend(in, ops::to_key_blocks(in.k), plan, options);
}

// Each of [B, 1] queries attends to the first so many keys of its sample.
ops::AttentionPlan first_keys(const std::vector<std::int64_t>& counts, std::int64_t keys) {
  Tensor ends = Tensor::empty({std::ssize(counts), 1}, DType::kInt64);
  std::copy(counts.begin(), counts.end(), ends.data<std::int64_t>());
  return AttentionMask::before(ends, keys);
}

TEST(KeyBlocks, HoldEachFeatureOfSixteenKeysSideBySide) {
  const std::int64_t batch = 2, keys = 37, features = 3;
  Tensor rows = Tensor::empty({batch, keys, features}, DType::kFloat64);
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    rows.data<double>()[i] = static_cast<double>(i + 1);
  const Tensor blocks = ops::to_key_blocks(rows);
  ASSERT_EQ(blocks.shape(), (Shape{2, 3, 3, 16}));
  for (std::int64_t i = 0; i < blocks.numel(); ++i) {
    const std::int64_t t = i / (16 * features) % 3 * 16 + i % 16, b = i / (3 * 16 * features);
    const double expected =
        t < keys ? static_cast<double>((b * keys + t) * features + i / 16 % features + 1) : 0;
    ASSERT_EQ(std::as_const(blocks).data<double>()[i], expected) << "element " << i;
  }
  EXPECT_TRUE(same_bits(ops::from_key_blocks(blocks, keys), rows));
}

TEST(KeyBlocks, OfNoKeysAreNone) {
  const Tensor none = Tensor::empty({2, 0, 3}, DType::kFloat32);
  EXPECT_EQ(ops::to_key_blocks(none).shape(), (Shape{2, 0, 3, 16}));
  EXPECT_EQ(ops::from_key_blocks(ops::to_key_blocks(none), 0).shape(), none.shape());
}

TEST(AttentionToKeyBlocks, HasTheBitsOfTheQueryAmongOthers) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t features : {1, 7, 16, 32, 70, 600}) {
      const std::int64_t rows = features > 100 ? 70 : 1100;
      const Inputs all = draw(random, {1, rows, rows, 2, 2, features, features}, dtype);
      const Tensor together = attend_to_rows(all, AttentionMask::causal(rows));
      for (const std::int64_t s : {0, 1, 15, 16, 62, 63, 64, 69, 511, 512, 700, 1099}) {
        if (s >= rows) continue;
        const Shape row = {1, 1, 2 * features};
        const Inputs one = {all.q.view(s * row.numel(), row), all.k, all.v, all.heads};
        EXPECT_TRUE(same_bits(attend_to_blocks(one, first_keys({s + 1}, rows)),
                              together.view(s * row.numel(), row)))
            << "query " << s << " of " << features << " features";
      }
    }
  }
}

TEST(AttentionToKeyBlocks, HasTheBitsOfRowsForAnyHeadsLengthsAndThreads) {
  Random random(2);
  const Sizes cases[] = {{5, 1, 90, 1, 1, 8, 8},   {5, 1, 90, 4, 4, 32, 32},
                         {5, 1, 90, 12, 3, 16, 5}, {5, 1, 90, 6, 2, 20, 48},
                         {5, 1, 90, 7, 7, 3, 17},  {5, 1, 90, 15, 5, 1, 1},
                         {5, 1, 90, 1, 1, 0, 4}};
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Sizes& d : cases) {
      const Inputs in = draw(random, d, dtype);
      const ops::AttentionPlan plan = first_keys({90, 1, 0, 64, 17}, 90);
      const Tensor expected = attend_to_rows(in, plan);
      for (const int threads : {1, 2, 5}) {
        const test::WithThreads use(threads);
        EXPECT_TRUE(same_bits(attend_to_blocks(in, plan), expected)) << d.heads << " heads";
      }
    }
  }
}

// Whatever a loop for one position does not know goes another way.
TEST(AttentionToKeyBlocks, HasTheBitsOfRowsUnderOptionsAndAnyMask) {
  Random random(3);
  const Inputs one = draw(random, {3, 1, 40, 4, 2, 8, 8}, DType::kFloat32),
               many = draw(random, {3, 5, 40, 4, 2, 8, 8}, DType::kFloat32);
  const auto check_same = [](const Inputs& in, const ops::AttentionPlan& plan,
                             const ops::AttentionOptions& options) {
    EXPECT_TRUE(same_bits(attend_to_blocks(in, plan, options), attend_to_rows(in, plan, options)));
  };
  const ops::AttentionPlan first = first_keys({40, 3, 0}, 40);
  check_same(one, first,
             {.bias = Variable(test::uniform(random, {3, 4, 1, 40}).to(DType::kFloat32))});
  check_same(one, first, {.softcap = 0.5});
  check_same(one, first, {.scale = 3});
  check_same(one, first, {.dropout = 0.4, .random = Random(7)});
  for (const Shape& shape : {Shape{3, 1, 1, 40}, Shape{1, 4, 1, 40}, Shape{3, 4, 1, 40}}) {
    check_same(one, AttentionMask::bits(test::random_bits(random, shape, 0.5)), {});
  }
  check_same(one, {}, {});
  check_same(many, {}, {});
  check_same(many, AttentionMask::causal(5, 40), {});
}

TEST(AttentionToKeyBlocks, ReadsNoKeyAndNoValueBehindThoseThatAttend) {
  Random random(4);
  const Inputs in = draw(random, {2, 1, 40, 2, 2, 8, 8}, DType::kFloat32);
  const ops::AttentionPlan plan = first_keys({19, 0}, 40);
  const Tensor expected = attend_to_rows(in, plan);
  Inputs poisoned = {in.q, in.k.clone(), in.v.clone(), in.heads};
  for (Tensor* x : {&poisoned.k, &poisoned.v}) {
    for (const std::int64_t b : {0, 1}) {
      for (std::int64_t t = b ? 0 : 19; t < 40; ++t) {
        x->view((b * 40 + t) * 16, {16}).fill(t % 2 ? test::kNaN : kInf);
      }
    }
  }
  EXPECT_TRUE(same_bits(attend_to_blocks(poisoned, plan), expected));
}

TEST(AttentionToKeyBlocks, SendsBackWhatRowsSendAndZeroBehindThem) {
  Random random(5);
  const Inputs in = draw(random, {2, 1, 21, 4, 2, 3, 5}, DType::kFloat64);
  const Tensor g = test::uniform(random, {2, 1, 20});
  const auto gradients = [&](const Tensor& keys) {
    const Variable q = leaf(in.q), k = leaf(keys), v = leaf(in.v);
    Tape tape;
    ops::AttentionOptions options;
    options.heads = in.heads;
    tape.backward(ops::scaled_dot_product_attention(q, k, v, first_keys({21, 6}, 21), options), g);
    return std::vector<Tensor>{q.grad(), k.grad(), v.grad()};
  };
  std::vector<Tensor> expected = gradients(in.k);
  expected[1] = ops::to_key_blocks(expected[1]);
  const std::vector<Tensor> got = gradients(ops::to_key_blocks(in.k));
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i]));
}

TEST(AttentionToKeyBlocks, IsZeroWhereAllScoresAreMinusInfinityAndNaNWhereOneIsNaN) {
  Random random(6);
  Inputs in = draw(random, {1, 1, 70, 1, 1, 4, 4}, DType::kFloat32);
  const ops::AttentionPlan plan = first_keys({70}, 70);
  in.q.fill(1.0);
  in.k.fill(-kInf);
  EXPECT_TRUE(same_bits(attend_to_blocks(in, plan), Tensor::zeros({1, 1, 4}, DType::kFloat32)));
  in.k.fill(0.5);
  in.k.view(3, {}).fill(test::kNaN);
  for (const double y : to_doubles(attend_to_blocks(in, plan))) EXPECT_TRUE(std::isnan(y));
}

TEST(AttentionToKeyBlocks, RefusesBlocksThatDoNotFitTheValues) {
  const auto error = [](const Shape& keys, std::int64_t values) {
    return test::error_of([&] {
      ops::scaled_dot_product_attention(Variable(Tensor::zeros({2, 1, 8}, DType::kFloat32)),
                                        Variable(Tensor::zeros(keys, DType::kFloat32)),
                                        Variable(Tensor::zeros({2, values, 8}, DType::kFloat32)));
    });
  };
  const std::string starts = "[scaled_dot_product_attention] ";
  EXPECT_EQ(error({2, 2, 8, 16}, 32), "no error");
  EXPECT_EQ(error({2, 2, 8, 16}, 33),
            starts + "33 values need blocks of keys (2, 3, 8, 16), got (2, 2, 8, 16)");
  EXPECT_EQ(error({2, 2, 8, 8}, 16),
            starts + "16 values need blocks of keys (2, 1, 8, 16), got (2, 2, 8, 8)");
}

}  // namespace
}  // namespace maskgrad
