// Attention on a device has the CPU's bits, both ways. So it keeps what tests/ops/nn holds the CPU
// to, such as that no pair is read that the mask leaves out.

#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention_watch.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>

#include "cuda/attention_on_cuda.hpp"
#include "support/errors.hpp"
#include "support/heads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::AttentionInputs;
using test::AttentionResults;
using test::AttentionSizes;
using test::expect_same;
using test::kCuda;
using test::moved;
using test::random_attention;
using test::run_fused;

// Of the device in one order of threads; the orders take turns.
void expect_bits_of_cpu(const AttentionInputs& in, const ops::AttentionPlan& plan,
                        const AttentionOptions& options = {}) {
  static int order = 0;
  for (const DType dtype : test::kFloatingDTypes) {
    SCOPED_TRACE(fmt::format("{} q {} k {} v {} under {}", to_string(dtype), in.q.shape(),
                             in.k.shape(), in.v.shape(),
                             plan.defined() ? plan.pairs().recipe() : "no mask"));
    test::set_order(order++ % test::orders());
    const AttentionInputs inputs = in.to(dtype);
    expect_same(run_fused(moved(inputs, kCuda), plan, options), run_fused(inputs, plan, options));
  }
}

// Around the edges of tiles, of slices that are loaded at once, and of chains.
TEST(CudaAttention, HasTheBitsOfTheCpuUnderEveryKindOfMask) {
  Random random(1);
  for (const AttentionSizes& d : {AttentionSizes{2, 2, 1, 70, 70, 5, 3},
                                  {1, 2, 2, 33, 130, 16, 17},
                                  {1, 1, 1, 130, 65, 3, 4},
                                  {2, 3, 1, 20, 32, 6, 33}}) {
    const AttentionInputs in = random_attention(random, d);
    for (const AttentionMask& mask : attention_masks(random, d)) expect_bits_of_cpu(in, mask);
  }
}

TEST(CudaAttention, HasTheBitsOfTheCpuForEveryNumberOfFeatures) {
  Random random(2);
  for (const std::int64_t features : {0, 1, 8, 31, 64, 65, 130}) {
    for (const std::int64_t value_features : {0, 1, 63, 64, 130}) {
      const AttentionSizes d = {1, 1, 1, 3, 40, features, value_features};
      expect_bits_of_cpu(random_attention(random, d), AttentionMask::window(3, 40, 5, 30));
    }
  }
}

// Sums over keys, queries, the heads of a group and features are cut into groups, and those added
// in trees. The last groups are not whole ones.
TEST(CudaAttention, HasTheBitsOfTheCpuForLongSums) {
  Random random(3);
  const auto sinks = AttentionMask::window(20, 2700, 20, 2600) | AttentionMask::sink(20, 2700, 3);
  expect_bits_of_cpu(random_attention(random, {1, 1, 1, 20, 2700, 3, 2}), sinks);
  expect_bits_of_cpu(random_attention(random, {1, 1, 1, 20, 2700, 3, 2}),
                     AttentionMask::sink(20, 2700, 9) | ~AttentionMask::sink(20, 2700, 2100));
  expect_bits_of_cpu(random_attention(random, {1, 2, 1, 1700, 5, 3, 2}), {});
  expect_bits_of_cpu(random_attention(random, {1, 6, 2, 530, 40, 2, 3}),
                     AttentionMask::bits(test::random_bits(random, {530, 40}, 0.02)));
  expect_bits_of_cpu(random_attention(random, {1, 1, 1, 3, 5, 1700, 1100}), {});
}

// Larger scores come later, so that all that was summed before is scaled down.
TEST(CudaAttention, ScalesTreesDownAsTheCpuDoes) {
  Random random(4);
  AttentionInputs in = random_attention(random, {1, 1, 1, 5, 1800, 4, 3});
  for (std::int64_t t = 0; t < 1800; ++t) {
    for (std::int64_t d = 0; d < 4; ++d) {
      in.k.data<double>()[t * 4 + d] *= 1 + static_cast<double>(t / 300);
    }
  }
  expect_bits_of_cpu(in, {});
}

TEST(CudaAttention, HasTheBitsOfTheCpuWithABiasOfAnyShapeThatBroadcasts) {
  Random random(5);
  const AttentionSizes d = {2, 2, 1, 70, 66, 5, 3};
  AttentionInputs in = random_attention(random, d);
  const AttentionMask masks[] = {AttentionMask::causal(70, 66),
                                 AttentionMask::bits(test::random_bits(random, {70, 66}))};
  int i = 0;
  for (const Shape& shape : d.bias_shapes()) {
    SCOPED_TRACE(to_string(shape));
    in.bias = test::uniform(random, shape).to(DType::kFloat32).to(DType::kFloat64);
    expect_bits_of_cpu(in, masks[i++ % 2], {.scale = -0.7});
  }
}

TEST(CudaAttention, ScalesAndCapsAndDropsAsTheCpuDoes) {
  Random random(6);
  AttentionInputs in = random_attention(random, {1, 2, 1, 70, 66, 5, 3});
  const AttentionMask mask = AttentionMask::window(70, 66, 40, 3);
  const AttentionOptions all[] = {
      {.scale = 0.0},
      {.softcap = 0.5},
      {.scale = 0.0, .softcap = 2},
      {.scale = 9, .softcap = 3},
      {.dropout = 0.3, .random = Random(7, 8, 9)},
      {.softcap = 1.0, .dropout = 0.9, .random = Random(std::uint64_t{1} << 60, 3, 1)}};
  for (const AttentionOptions& options : all) {
    in.bias = {};
    expect_bits_of_cpu(in, mask, options);
    in.bias = test::uniform(random, {66});
    expect_bits_of_cpu(in, mask, options);
  }
}

TEST(CudaAttention, TakesRandomNumbersFromWhereTheGeneratorStands) {
  Random random(7);
  const AttentionInputs in = random_attention(random, {1, 1, 1, 5, 7, 2, 2});
  Random used(3);
  for (int words = 0; words < 5; ++words) {
    expect_bits_of_cpu(in, {}, {.dropout = 0.5, .random = used});
    used.bits32();
  }
}

// Softmax of scores far apart, and of scores of -inf alone.
TEST(CudaAttention, HasTheBitsOfTheCpuForExtremeScores) {
  Random random(8);
  AttentionInputs in = random_attention(random, {1, 1, 1, 66, 70, 16, 2});
  expect_bits_of_cpu(in, {}, {.scale = 5e3});
  in.bias = Tensor::zeros({66, 70}, DType::kFloat64);
  in.bias[1].fill(-test::kInf);
  in.bias[2].fill(-1e9);
  in.bias[3].fill(-95);
  expect_bits_of_cpu(in, {});
}

// The CPU keeps poison from those that do not see it. Results that are NaN are so on both.
TEST(CudaAttention, LetsPoisonReachWhomItReachesOnTheCpu) {
  Random random(9);
  const AttentionSizes d = {1, 2, 1, 70, 70, 4, 3};
  const AttentionInputs clean = random_attention(random, d);
  const AttentionMask masks[] = {
      AttentionMask::window(70, 70, 9, 10),
      AttentionMask::causal(70) & AttentionMask::bits(test::random_bits(random, {70, 70}))};
  for (const double poison : {1e30, test::kInf, -test::kInf, test::kNaN}) {
    for (const AttentionMask& mask : masks) {
      for (Tensor AttentionInputs::*of :
           {&AttentionInputs::q, &AttentionInputs::k, &AttentionInputs::v, &AttentionInputs::g}) {
        AttentionInputs in = clean;
        Tensor& x = in.*of;
        x = x.clone();
        x.view(66 * x.dim(-1), {x.dim(-1)}).fill(poison);
        expect_bits_of_cpu(in, mask);
      }
    }
  }
}

TEST(CudaAttention, ReadsNoBiasOfAPairThatTheMaskLeavesOut) {
  Random random(15);
  AttentionInputs in = random_attention(random, {1, 1, 1, 40, 70, 4, 3});
  const Tensor kept = test::random_bits(random, {40, 70});
  in.bias = test::uniform(random, {40, 70});
  for (std::int64_t i = 0; i < kept.numel(); ++i) {
    if (!kept.data<bool>()[i]) in.bias.data<double>()[i] = i % 2 ? test::kNaN : test::kInf;
  }
  expect_bits_of_cpu(in, AttentionMask::bits(kept));
  const AttentionResults got = run_fused(moved(in, kCuda), AttentionMask::bits(kept));
  for (const auto& [name, x] : got.all()) {
    for (const double number : test::to_doubles(x.to(Device{}))) {
      ASSERT_TRUE(std::isfinite(number)) << name;
    }
  }
}

TEST(CudaAttention, GivesExactlyZeroToAQueryThatSeesNothingWhateverItHolds) {
  Random random(10);
  AttentionInputs in = random_attention(random, {1, 1, 1, 80, 80, 5, 3});
  // No query before 70 sees anything, nor does anyone see a key after 9.
  const AttentionMask late = AttentionMask::causal(80, 80, -70);
  in.q.view(0, {70, 5}).fill(test::kNaN);
  in.g.view(0, {70, 3}).fill(test::kInf);
  in.k.view(10 * 5, {70, 5}).fill(test::kNaN);
  in.v.view(10 * 3, {70, 3}).fill(-test::kInf);
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionResults got = run_fused(moved(in.to(dtype), kCuda), late, {.scale = -0.5});
    const auto is_zero = [](const Tensor& x, std::int64_t first, const Shape& shape) {
      return is_identical(x.to(Device{}).view(first, shape), Tensor::zeros(shape, x.dtype()));
    };
    EXPECT_TRUE(is_zero(got.y, 0, {70, 3}));
    EXPECT_TRUE(is_zero(got.dq, 0, {70, 5}));
    EXPECT_TRUE(is_zero(got.dk, 10 * 5, {70, 5}));
    EXPECT_TRUE(is_zero(got.dv, 10 * 3, {70, 3}));
    EXPECT_FALSE(is_zero(got.y, 70 * 3, {10, 3}));
  }
}

TEST(CudaAttention, TakesHeadsThatShareRowsAndKeysInBlocks) {
  Random random(11);
  const AttentionInputs in = random_attention(random, {2, 4, 2, 70, 35, 3, 5});
  const AttentionInputs rows = {test::heads_together(in.q), test::heads_together(in.k),
                                test::heads_together(in.v), test::heads_together(in.g)};
  expect_bits_of_cpu(rows, AttentionMask::causal(70, 35), {.heads = 4});
  AttentionInputs blocks = rows;
  blocks.k = ops::to_key_blocks(rows.k);
  expect_bits_of_cpu(blocks, AttentionMask::causal(70, 35), {.heads = 4});
  // One query, for which the CPU has code of its own.
  blocks.q = test::uniform(random, {2, 1, 12});
  blocks.g = test::uniform(random, {2, 1, 20});
  expect_bits_of_cpu(blocks, AttentionMask::sink(1, 35, 33), {.heads = 4});
}

TEST(CudaAttention, TakesPositionsThatExistAndPairsOfEachSample) {
  Random random(12);
  const SequenceMask exists(test::random_bits(random, {3, 40}));
  const auto draw = [&] { return test::uniform(random, {3, 40, 4}); };
  const AttentionInputs in = {draw(), draw(), draw(), draw()};
  expect_bits_of_cpu(in, ops::AttentionPlan::existing(exists), {.heads = 2});
  expect_bits_of_cpu(in, AttentionMask::bits(test::random_bits(random, {3, 40, 40})));
}

TEST(CudaAttention, TakesNoSamplesHeadsQueriesOrKeys) {
  for (const AttentionSizes& d : {AttentionSizes{0, 2, 1, 3, 4, 2, 2},
                                  {2, 0, 1, 3, 4, 2, 2},
                                  {2, 2, 1, 0, 4, 2, 2},
                                  {2, 2, 1, 3, 0, 2, 2}}) {
    Random random(13);
    AttentionInputs in = random_attention(random, d);
    expect_bits_of_cpu(in, {});
    in.bias = Tensor::zeros({d.keys}, DType::kFloat64);
    expect_bits_of_cpu(in, {});
  }
}

TEST(CudaAttention, GivesAWholeValueItsGradients) {
  Random random(14);
  const Tensor x = test::uniform(random, {3, 2, 40, 6}), g = test::uniform(random, {2, 40, 6});
  for (const DType dtype : test::kFloatingDTypes) {
    const auto run = [&](Device device) {
      const Variable qkv = test::leaf(x.to(dtype).to(device));
      Tape tape;
      const Variable y = ops::self_attention(qkv, AttentionMask::causal(40), {.heads = 3});
      tape.backward(y, g.to(dtype).to(device));
      return AttentionResults{y.value(), qkv.grad(), {}, {}};
    };
    expect_same(run(kCuda), run(Device{}));
  }
}

// A watch shows weights on the host.
TEST(CudaAttention, IsSeenByAWatch) {
  Random random(16);
  const AttentionInputs in = random_attention(random, {1, 2, 1, 5, 7, 3, 2});
  const auto weights_on = [&](Device device) {
    ops::AttentionWatch watch;
    run_fused(moved(in, device), AttentionMask::causal(5, 7));
    return watch.seen().at(0).weights;
  };
  EXPECT_TRUE(test::is_near(weights_on(kCuda), weights_on(Device{})));
}

TEST(CudaAttention, RefusesInputsOfTwoDevices) {
  const auto x = [](Device device) {
    return Variable(Tensor::zeros({1, 1, 2, 2}, DType::kFloat32, device));
  };
  const std::string error =
      "[scaled_dot_product_attention] got one input on cuda and another on cpu";
  const auto error_of = [&](Device q, Device k, Device v, Device bias) {
    return test::error_of(
        [&] { ops::scaled_dot_product_attention(x(q), x(k), x(v), {}, {.bias = x(bias)}); });
  };
  EXPECT_EQ(error_of(kCuda, kCuda, kCuda, kCuda), "no error");
  EXPECT_EQ(error_of(Device{}, kCuda, kCuda, kCuda), error);
  EXPECT_EQ(error_of(kCuda, Device{}, kCuda, kCuda), error);
  EXPECT_EQ(error_of(kCuda, kCuda, Device{}, kCuda), error);
  EXPECT_EQ(error_of(kCuda, kCuda, kCuda, Device{}), error);
  EXPECT_EQ(error_of(Device{}, Device{}, Device{}, kCuda), error);
}

}  // namespace
}  // namespace maskgrad
