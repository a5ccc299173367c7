// The operations that attention in parts is made of have the CPU's bits on a device.
#include <gmock/gmock.h>

#include "cuda/attention_on_cuda.hpp"

namespace maskgrad {
namespace {

using test::AttentionInputs;
using test::AttentionResults;
using test::AttentionSizes;
using test::expect_same;
using test::kCuda;
using test::moved;

// The values of a head summed by the products of its queries and keys: both operations, both ways.
AttentionResults run_parts(const AttentionInputs& in, const AttentionMask& mask) {
  const Variable q = test::leaf(in.q), k = test::leaf(in.k), v = test::leaf(in.v);
  Tape tape;
  const Variable y = ops::attention_values(ops::attention_scores(q, k, mask), v, mask);
  tape.backward(y, in.g);
  return {y.value(), q.grad(), k.grad(), v.grad()};
}

void expect_bits_of_cpu(const AttentionInputs& in, const AttentionMask& mask) {
  for (const DType dtype : test::kFloatingDTypes) {
    SCOPED_TRACE(fmt::format("{} {}", to_string(dtype), mask.recipe()));
    const AttentionInputs inputs = in.to(dtype);
    expect_same(run_parts(moved(inputs, kCuda), mask), run_parts(inputs, mask));
  }
}

// Sums over features, keys, queries and heads of a group, each long enough for a tree.
TEST(CudaAttentionInParts, HasTheBitsOfTheCpu) {
  Random random(1);
  for (const AttentionSizes& d : {AttentionSizes{2, 4, 2, 5, 40, 7, 3},
                                  {1, 1, 1, 3, 1700, 2, 2},
                                  {1, 2, 1, 600, 3, 4, 2},
                                  {1, 1, 1, 4, 6, 1700, 1100}}) {
    const AttentionInputs in = test::random_attention(random, d);
    for (const AttentionMask& mask :
         {AttentionMask::window(d.queries, d.keys, 900, 1500),
          ~AttentionMask::window(d.queries, d.keys, 1, 2),
          AttentionMask::bits(test::random_bits(random, {d.heads, d.queries, d.keys}, 0.3))}) {
      expect_bits_of_cpu(in, mask);
    }
  }
}

TEST(CudaAttentionInParts, LetsPoisonReachWhomItReachesOnTheCpu) {
  Random random(2);
  const AttentionInputs clean = test::random_attention(random, {1, 2, 1, 20, 30, 4, 3});
  const AttentionMask mask = AttentionMask::window(20, 30, 2, 3);
  for (const double poison : {test::kInf, test::kNaN}) {
    for (Tensor AttentionInputs::*of :
         {&AttentionInputs::q, &AttentionInputs::k, &AttentionInputs::v, &AttentionInputs::g}) {
      AttentionInputs in = clean;
      in.*of = (in.*of).clone();
      (in.*of).view(7 * (in.*of).dim(-1), {(in.*of).dim(-1)}).fill(poison);
      expect_bits_of_cpu(in, mask);
    }
  }
}

// Weights where the mask says no hold NaN on the device, and 0 on the CPU. Query 1 sees nothing.
TEST(CudaAttentionInParts, ReadsNoWeightThatTheMaskLeavesOut) {
  Random random(3);
  Tensor bits = test::random_bits(random, {2, 6, 9});
  std::fill_n(bits.data<bool>() + 9, 9, false);
  const AttentionMask mask = AttentionMask::bits(bits);
  Tensor weights = test::uniform(random, {1, 2, 6, 9}), poisoned = weights.clone();
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    if (bits.data<bool>()[i]) continue;
    weights.data<double>()[i] = 0;
    poisoned.data<double>()[i] = test::kNaN;
  }
  const Tensor v = test::uniform(random, {1, 1, 9, 4}), g = test::uniform(random, {1, 2, 6, 4});
  for (const DType dtype : test::kFloatingDTypes) {
    const auto run = [&](const Tensor& of_pairs, Device device) {
      const auto on_device = [&](const Tensor& x) { return x.to(dtype).to(device); };
      const Variable w = test::leaf(on_device(of_pairs)), values = test::leaf(on_device(v));
      Tape tape;
      const Variable y = ops::attention_values(w, values, mask);
      tape.backward(y, on_device(g));
      return AttentionResults{y.value(), w.grad(), {}, values.grad()};
    };
    const AttentionResults got = run(poisoned, kCuda);
    expect_same(got, run(weights, Device{}));
    EXPECT_EQ(test::to_doubles(got.y.to(Device{}).view(4, {4})), std::vector<double>(4));
    EXPECT_EQ(test::to_doubles(got.dq.to(Device{}).view(9, {9})), std::vector<double>(9));
  }
}

TEST(CudaAttentionInParts, TakesNoSamplesQueriesKeysOrFeatures) {
  Random random(4);
  for (const AttentionSizes& d : {AttentionSizes{0, 2, 1, 3, 4, 2, 2},
                                  {2, 2, 1, 0, 4, 2, 2},
                                  {2, 2, 1, 3, 0, 2, 2},
                                  {2, 2, 1, 3, 4, 0, 0}}) {
    expect_bits_of_cpu(test::random_attention(random, d), AttentionMask::all(d.queries, d.keys));
  }
}

}  // namespace
}  // namespace maskgrad
