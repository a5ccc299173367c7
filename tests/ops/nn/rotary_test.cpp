#include <cmath>
#include <complex>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/gradients.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::RotaryOptions;
using ops::RotaryPairs;
using test::bits;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using Values = std::vector<double>;

constexpr RotaryPairs kBothPairs[] = {RotaryPairs::kInterleaved, RotaryPairs::kHalves};

Tensor numbers(const Values& values, const Shape& shape, DType dtype = DType::kInt64) {
  return make(values, shape, dtype);
}
Tensor random_numbers(Random& random, const Shape& shape, std::uint32_t bound) {
  Tensor result = Tensor::empty(shape, DType::kInt64);
  for (std::int64_t i = 0; i < result.numel(); ++i) {
    result.data<std::int64_t>()[i] = random.below(bound);
  }
  return result;
}

Tensor rotated(const Tensor& x, const Tensor& positions, const RotaryOptions& options = {}) {
  return ops::rotary_embedding(Variable(x), positions, options).value();
}
Tensor gradient(const Tensor& x, const Tensor& positions, const Tensor& g,
                const RotaryOptions& options = {}) {
  const Variable input = leaf(x);
  Tape tape;
  tape.backward(ops::rotary_embedding(input, positions, options), g);
  return input.grad();
}

// Where the two features of pair i of a head of d features are.
std::pair<std::size_t, std::size_t> places(RotaryPairs pairs, std::size_t i, std::size_t d) {
  if (pairs == RotaryPairs::kInterleaved) return {2 * i, 2 * i + 1};
  return {i, i + d / 2};
}

// Each pair as a complex number, times e^(i t). Positions [B, S], or [1, S].
Values by_definition(const Tensor& x, const Tensor& positions, const RotaryOptions& options) {
  const Values from = to_doubles(x), p = to_doubles(positions);
  const auto features = static_cast<std::size_t>(x.dim(2)),
             d = features / static_cast<std::size_t>(options.heads);
  Values y(from.size());
  for (std::size_t head = 0; d > 0 && head * d < from.size(); ++head) {
    const double number = p[head * d / features % p.size()];
    for (std::size_t i = 0; i < d / 2; ++i) {
      const double t =
          number * std::pow(options.base, -2.0 * static_cast<double>(i) / static_cast<double>(d));
      const auto [a, b] = places(options.pairs, i, d);
      const auto turned = std::complex(from[head * d + a], from[head * d + b]) * std::polar(1.0, t);
      y[head * d + a] = turned.real();
      y[head * d + b] = turned.imag();
    }
  }
  return y;
}

TEST(RotaryEmbedding, RotatesPairsByTheAnglesOfTheFormula) {
  Random random(1);
  for (const RotaryPairs pairs : kBothPairs) {
    for (const DType dtype : test::kFloatingDTypes) {
      for (const std::int64_t d : {2, 4, 6, 16, 34, 64}) {
        for (const std::int64_t heads : {1, 3}) {
          for (const double base : {10000.0, 2.0, 0.5}) {
            const RotaryOptions options{.heads = heads, .pairs = pairs, .base = base};
            const Tensor x = test::uniform(random, {2, 5, heads * d}).to(dtype);
            const Tensor p = random_numbers(random, {2, 5}, base == 0.5 ? 20 : 2000);
            EXPECT_TRUE(is_close(rotated(x, p, options), by_definition(x, p, options),
                                 dtype == DType::kFloat32 ? 1e-6 : 1e-11));
          }
        }
      }
    }
  }
}

TEST(RotaryEmbedding, TurnsTheFirstAxisOfAPairTowardsTheSecond) {
  const double c = std::cos(1), s = std::sin(1), c2 = std::cos(0.01), s2 = std::sin(0.01);
  const Tensor x = make({1, 0, 0, 1}, {1, 1, 4}), p = numbers({1}, {1, 1});
  EXPECT_TRUE(is_close(rotated(x, p), {c, s, -s2, c2}));
  // Pairs (0, 2) and (1, 3).
  EXPECT_TRUE(is_close(rotated(x, p, {.pairs = RotaryPairs::kHalves}), {c, -s2, s, c2}));
}

TEST(RotaryEmbedding, OfHalvesIsThatOfNeighboursInAnotherOrder) {
  Random random(2);
  const Tensor p = numbers({7, 0, 123}, {1, 3});
  const auto in_other_order = [](const Tensor& x) {
    const Values from = to_doubles(x);
    Values to(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      const std::size_t j = i % 6;
      to[i - j + j / 2 + j % 2 * 3] = from[i];
    }
    return make(to, x.shape(), x.dtype());
  };
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = test::uniform(random, {2, 3, 12}).to(dtype);
    const Tensor halves =
        rotated(in_other_order(x), p, {.heads = 2, .pairs = RotaryPairs::kHalves});
    EXPECT_TRUE(same_bits(halves, in_other_order(rotated(x, p, {.heads = 2}))));
  }
}

TEST(RotaryEmbedding, KeepsTheLengthOfEachPair) {
  Random random(3);
  for (const RotaryPairs pairs : kBothPairs) {
    const Tensor x = test::uniform(random, {2, 3, 8});
    const Tensor y = rotated(x, random_numbers(random, {2, 3}, 1000), {.pairs = pairs});
    const Values from = to_doubles(x), to = to_doubles(y);
    for (std::size_t head = 0; head < from.size(); head += 8) {
      for (std::size_t i = 0; i < 4; ++i) {
        const auto [a, b] = places(pairs, i, 8);
        EXPECT_NEAR(std::hypot(to[head + a], to[head + b]),
                    std::hypot(from[head + a], from[head + b]), 1e-14);
      }
    }
  }
}

TEST(RotaryEmbedding, MakesProductsThatDependOnTheDifferenceOfPositionsAlone) {
  Random random(4);
  const Tensor q = test::uniform(random, {1, 1, 16}), k = test::uniform(random, {1, 1, 16});
  for (const RotaryPairs pairs : kBothPairs) {
    const auto product = [&](double of_query, double of_key) {
      const Values a = to_doubles(rotated(q, numbers({of_query}, {1, 1}), {.pairs = pairs}));
      const Values b = to_doubles(rotated(k, numbers({of_key}, {1, 1}), {.pairs = pairs}));
      return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    };
    for (const double difference : {0, 1, 5, 300}) {
      const double expected = product(difference, 0);
      for (const double shift : {1, 17, 1000}) {
        EXPECT_NEAR(product(difference + shift, shift), expected, 1e-10);
      }
    }
    EXPECT_GT(std::abs(product(1, 0) - product(0, 1)), 0.01);
  }
}

TEST(RotaryEmbedding, LeavesPositionZeroAsItIs) {
  Random random(5);
  for (const RotaryPairs pairs : kBothPairs) {
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor x = test::uniform(random, {2, 3, 10}).to(dtype);
      const Tensor zero = numbers({0, 0, 0}, {1, 3});
      EXPECT_TRUE(same_bits(rotated(x, zero, {.pairs = pairs}), x));
      EXPECT_TRUE(same_bits(gradient(x, zero, x, {.pairs = pairs}), x));
    }
  }
}

TEST(RotaryEmbedding, HasTheGradientThatRotatesBack) {
  Random random(6);
  for (const RotaryPairs pairs : kBothPairs) {
    const RotaryOptions options{.heads = 2, .pairs = pairs, .base = 100};
    const Tensor p = numbers({4, 0, 9, 2, 50, 1}, {2, 3});
    const Variable x = leaf(test::uniform(random, {2, 3, 12}));
    const NamedLeaf leaves[] = {{"x", x}};
    const GradientReport report =
        check_gradients([&] { return ops::rotary_embedding(x, p, options); }, leaves);
    EXPECT_TRUE(report.holds()) << to_string(report);
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor value = x.value().to(dtype);
      const Tensor back = gradient(value, p, rotated(value, p, options), options);
      EXPECT_TRUE(is_close(back, to_doubles(value), 4 * test::tolerance(dtype)));
    }
  }
}

TEST(RotaryEmbedding, IsRightInFloat32AtHighPositions) {
  Random random(7);
  const Tensor p = numbers({100000, 99999, 12345678}, {1, 3});
  for (const RotaryPairs pairs : kBothPairs) {
    const Tensor x = test::uniform(random, {1, 3, 64}).to(DType::kFloat32);
    const Tensor y = rotated(x, p, {.pairs = pairs});
    EXPECT_TRUE(is_close(y, by_definition(x, p, {.pairs = pairs}), 1e-6));
  }
}

TEST(RotaryEmbedding, GivesOneRowOfPositionsToAllSequences) {
  Random random(8);
  for (const double first : {0, 1000}) {
    const Tensor x = test::uniform(random, {3, 2, 8});
    const Tensor one = numbers({first, first + 1}, {1, 2});
    const Tensor all = numbers({first, first + 1, first, first + 1, first, first + 1}, {3, 2});
    EXPECT_TRUE(same_bits(rotated(x, one), rotated(x, all)));
    EXPECT_TRUE(same_bits(gradient(x, one, x), gradient(x, all, x)));
    EXPECT_TRUE(same_bits(rotated(x, one), rotated(x, one.to(DType::kInt32))));
  }
}

TEST(RotaryEmbedding, OfARowHasTheSameBitsInAnyBatchAndOnAnyNumberOfThreads) {
  Random random(9);
  for (const RotaryPairs pairs : kBothPairs) {
    for (const DType dtype : test::kFloatingDTypes) {
      const RotaryOptions options{.heads = 3, .pairs = pairs};
      const Tensor x = test::uniform(random, {20, 50, 42}).to(dtype);
      for (const std::uint32_t bound : {60U, 100000U}) {
        const Tensor p = random_numbers(random, {20, 50}, bound);
        const Tensor y = rotated(x, p, options), dx = gradient(x, p, x, options);
        const Tensor row = x.view(19 * 50 * 42, {1, 50, 42}).clone();
        const Tensor at = p.view(19 * 50, {1, 50}).clone();
        EXPECT_TRUE(same_bits(rotated(row, at, options), y[19].clone().reshape({1, 50, 42})));
        EXPECT_TRUE(
            same_bits(gradient(row, at, row, options), dx[19].clone().reshape({1, 50, 42})));
        for (const int threads : {2, 3}) {
          const test::WithThreads more(threads);
          EXPECT_TRUE(same_bits(rotated(x, p, options), y));
          EXPECT_TRUE(same_bits(gradient(x, p, x, options), dx));
        }
      }
    }
  }
}

TEST(RotaryEmbedding, KeepsTheMaskAndReadsNothingInItsHoles) {
  const SequenceMask mask(bits({1, 0, 1, 0, 0, 1}, {2, 3}));
  Random random(10);
  const Tensor clean = test::uniform(random, {2, 3, 4}), g = test::uniform(random, {2, 3, 4});
  const Tensor p = numbers({3, -1, 5, -7, -1e15, 2}, {2, 3});
  for (const RotaryPairs pairs : kBothPairs) {
    Values expected = by_definition(clean, p, {.pairs = pairs});
    for (const std::size_t hole : {1u, 3u, 4u}) {
      for (std::size_t j = 0; j < 4; ++j) expected[hole * 4 + j] = 0;
    }
    for (const double poison : {1e30, kInf, kNaN}) {
      Tensor value = clean.clone(), arrives = g.clone();
      for (const std::int64_t hole : {1, 3, 4}) {
        value.reshape({6, 4})[hole].fill(poison);
        arrives.reshape({6, 4})[hole].fill(-poison);
      }
      const Variable x = leaf(value, mask);
      Tape tape;
      const Variable y = ops::rotary_embedding(x, p, {.pairs = pairs});
      EXPECT_TRUE(y.mask() == mask);
      EXPECT_TRUE(is_close(y.value(), expected));
      tape.backward(y, arrives);
      for (const std::int64_t hole : {1, 3, 4}) {
        EXPECT_TRUE(same_bits(y.value().reshape({6, 4})[hole].clone(),
                              Tensor::zeros({4}, DType::kFloat64)));
        EXPECT_TRUE(
            same_bits(x.grad().reshape({6, 4})[hole].clone(), Tensor::zeros({4}, DType::kFloat64)));
      }
    }
  }
}

TEST(RotaryEmbedding, ReadsASharedPositionWhereAnySequenceHasIt) {
  const Tensor x = Tensor::full({2, 3, 2}, 1, DType::kFloat64);
  const auto run = [&](const Values& keep) {
    const Variable masked(x, {}, SequenceMask(bits(keep, {2, 3})));
    return test::error_of([&] { ops::rotary_embedding(masked, numbers({0, -4, 1}, {1, 3})); });
  };
  EXPECT_EQ(run({1, 0, 1, 1, 0, 0}), "no error");
  EXPECT_EQ(run({1, 0, 1, 1, 1, 0}),
            "[rotary_embedding] position -4 at element 1 of (1, 3) is below 0");
}

TEST(RotaryEmbedding, TakesNoSequencesNoPositionsAndNoFeatures) {
  for (const Shape& shape : {Shape{0, 3, 4}, Shape{2, 0, 4}, Shape{2, 3, 0}, Shape{0, 0, 0}}) {
    for (const std::int64_t rows : {std::int64_t{1}, shape[0]}) {
      for (const RotaryPairs pairs : kBothPairs) {
        const Tensor x = Tensor::zeros(shape, DType::kFloat32);
        const Tensor p = Tensor::full({rows, shape[1]}, 7, DType::kInt64);
        const RotaryOptions options{.heads = 2, .pairs = pairs};
        EXPECT_TRUE(same_bits(rotated(x, p, options), x));
        EXPECT_TRUE(same_bits(gradient(x, p, x, options), x));
      }
    }
  }
}

TEST(RotaryEmbedding, TakesHugeAndDenormalNumbers) {
  const Tensor p = numbers({1}, {1, 1});
  const double c = std::cos(1), s = std::sin(1);
  for (const RotaryPairs pairs : kBothPairs) {
    for (const DType dtype : test::kFloatingDTypes) {
      const double huge = dtype == DType::kFloat32 ? 1e38 : 1e308;
      for (const double size : {huge, 1e30, 1e-30}) {
        Values y = to_doubles(rotated(make({size, 0}, {1, 1, 2}, dtype), p, {.pairs = pairs}));
        for (double& value : y) value /= size;
        EXPECT_TRUE(is_close(make(y, {2}), {c, s}, test::tolerance(dtype)));
      }
      // The cosine and the sine of 1, in units of a denormal number.
      const double unit = dtype == DType::kFloat32 ? 0x1p-149 : 0x1p-1074;
      const Tensor y = rotated(make({1000 * unit, 0}, {1, 1, 2}, dtype), p, {.pairs = pairs});
      EXPECT_TRUE(same_bits(y, make({540 * unit, 841 * unit}, {1, 1, 2}, dtype)));
    }
  }
}

TEST(RotaryEmbedding, IsCalledByName) {
  Random random(11);
  const Tensor x = test::uniform(random, {1, 2, 8}), p = numbers({3, 4}, {1, 2});
  const auto run = [&](const std::string& pairs) {
    OpCall call;
    call.inputs = {{"input", Variable(x)}, {"positions", Variable(p)}};
    call.args = {{"heads", std::int64_t{2}}, {"pairs", pairs}, {"base", 50.0}};
    return run_op(find_op("rotary_embedding"), call).front().value();
  };
  for (const RotaryPairs pairs : kBothPairs) {
    const char* name = pairs == RotaryPairs::kHalves ? "halves" : "interleaved";
    EXPECT_TRUE(same_bits(run(name), rotated(x, p, {.heads = 2, .pairs = pairs, .base = 50})));
  }
  EXPECT_EQ(test::error_of([&] { run("thirds"); }),
            "[rotary_embedding] pairs must be 'interleaved' or 'halves', got 'thirds'");
}

std::string error_of(const Shape& x, const Tensor& positions, const RotaryOptions& options = {}) {
  return test::error_of([&] { rotated(Tensor::zeros(x, DType::kFloat32), positions, options); });
}

TEST(RotaryEmbedding, RefusesShapesThatDoNotFit) {
  const Tensor p = numbers({0, 1, 2}, {1, 3});
  EXPECT_EQ(error_of({3, 4}, p), "[rotary_embedding] needs [B, S, H d], got (3, 4)");
  EXPECT_EQ(error_of({2, 1, 3, 4}, p), "[rotary_embedding] needs [B, S, H d], got (2, 1, 3, 4)");
  for (const Shape& shape : {Shape{2, 2}, Shape{3, 3}, Shape{3}, Shape{1, 1, 3}, Shape{1, 1}}) {
    EXPECT_EQ(error_of({2, 3, 4}, Tensor::zeros(shape, DType::kInt64)),
              fmt::format("[rotary_embedding] positions {} must be [B, S] or [1, S] of the input "
                          "(2, 3, 4)",
                          to_string(shape)));
  }
  EXPECT_EQ(error_of({2, 3, 4}, p, {.heads = 3}),
            "[rotary_embedding] heads must divide the last dimension: 3 and 4");
  EXPECT_EQ(error_of({2, 3, 4}, p, {.heads = 0}),
            "[rotary_embedding] heads must divide the last dimension: 0 and 4");
  EXPECT_EQ(error_of({2, 3, 4}, p, {.heads = -2}),
            "[rotary_embedding] heads must divide the last dimension: -2 and 4");
  EXPECT_EQ(error_of({2, 3, 9}, p, {.heads = 3}),
            "[rotary_embedding] the features of a head must be even, got 3");
}

TEST(RotaryEmbedding, RefusesDTypesThatDoNotFit) {
  EXPECT_EQ(error_of({1, 1, 2}, make({1}, {1, 1})), "[rotary_embedding] does not take float64");
  EXPECT_EQ(error_of({1, 1, 2}, bits({1}, {1, 1})), "[rotary_embedding] does not take bool");
  EXPECT_EQ(test::error_of([] {
              rotated(Tensor::zeros({1, 1, 2}, DType::kInt32), numbers({1}, {1, 1}));
            }),
            "[rotary_embedding] does not take int32");
}

TEST(RotaryEmbedding, RefusesPositionsAndBasesThatGiveNoAngle) {
  EXPECT_EQ(error_of({2, 2, 2}, numbers({0, 1, -1, 2}, {2, 2})),
            "[rotary_embedding] position -1 at element 2 of (2, 2) is below 0");
  for (const double base : {0.0, -10000.0, kInf, -kInf, kNaN}) {
    EXPECT_EQ(error_of({1, 1, 2}, numbers({1}, {1, 1}), {.base = base}),
              fmt::format("[rotary_embedding] base must be finite and above 0, got {}", base));
  }
  EXPECT_EQ(error_of({1, 1, 200}, numbers({100000}, {1, 1}), {.base = 1e-308}),
            "[rotary_embedding] base 1e-308 gives no finite angle at position 100000");
  EXPECT_EQ(error_of({1, 1, 200}, numbers({1}, {1, 1}), {.base = 1e-308}), "no error");
}

}  // namespace
}  // namespace maskgrad
