#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/matrix.hpp"
#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::is_close;
using test::kFloatingDTypes;
using test::kNaN;
using test::mask_of;
using test::Matrix;
using test::same_bits;
using test::to_doubles;
using test::uniform;

using Options = MultiHeadAttentionOptions;

constexpr std::size_t kFeatures = 8, kHeads = 4, kHead = kFeatures / kHeads;

bool add_sample(const char* name, const Options& options) {
  return register_layer(
      {name,
       [=] { return std::make_unique<MultiHeadAttention>(LayerSample::kFeatures, 5, options); }});
}
const bool kRegistered = add_sample("MultiHeadAttention", {}) &&
                         add_sample("CausalMultiHeadAttention", {.kind = AttentionKind::kCausal}) &&
                         add_sample("GroupedQueries", {.key_heads = 1, .bias = false}) &&
                         add_sample("NoOutputMatrix", {.bias = false, .output_matrix = false});

// A layer and its parameters, none of which is 0.
struct Model : test::Drawn<MultiHeadAttention> {
  explicit Model(const Options& options, DType dtype = DType::kFloat64)
      : Drawn(dtype, std::int64_t{kFeatures}, std::int64_t{kHeads}, options) {}
  Matrix projected(const Matrix& x, const std::string& name) const {
    return test::affine(x, parameters, name, name + "_bias");
  }
};

// Turns each pair (2i, 2i + 1) of each head by p 10000^(-2i / d).
Matrix rotated(Matrix x, const std::vector<double>& positions) {
  for (std::size_t s = 0; s < x.size(); ++s) {
    for (std::size_t j = 0; j + 1 < x[s].size(); j += 2) {
      const double angle =
          positions[s] * std::pow(10000.0, -static_cast<double>(j % kHead) / kHead);
      const double a = x[s][j], b = x[s][j + 1];
      x[s][j] = a * std::cos(angle) - b * std::sin(angle);
      x[s][j + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
  }
  return x;
}

// Which positions of one sequence exist, and their numbers.
struct Row {
  std::vector<bool> exists;
  std::vector<double> numbers;
};
Row row_of(const SequenceMask& mask, std::size_t b, std::size_t length) {
  Row row;
  double next = 0;
  for (std::size_t s = 0; s < length; ++s) {
    const bool exists = !mask.defined() || mask.bits().data<bool>()[b * length + s];
    row.exists.push_back(exists);
    row.numbers.push_back(exists ? next++ : 0);
  }
  return row;
}

Matrix with_zeros(Matrix x, const Row& row) {
  for (std::size_t s = 0; s < x.size(); ++s) {
    if (!row.exists[s]) x[s].assign(kFeatures, 0.0);
  }
  return x;
}

// One sequence beside another, or beside itself.
Matrix naive(const Model& model, const Options& options, const Matrix& x, const Row& queries,
             const Matrix& memory, const Row& keys) {
  Matrix q = model.projected(with_zeros(x, queries), "q"),
         k = model.projected(with_zeros(memory, keys), "k");
  const Matrix v = model.projected(with_zeros(memory, keys), "v");
  if (options.rotary) {
    q = rotated(q, queries.numbers);
    k = rotated(k, keys.numbers);
  }
  const std::size_t key_heads =
      options.key_heads ? static_cast<std::size_t>(options.key_heads) : kHeads;
  const auto keeps = [&](std::size_t i, std::size_t j) {
    return queries.exists[i] && keys.exists[j] &&
           (options.kind == AttentionKind::kBidirectional || j <= i);
  };
  std::vector<Matrix> heads;
  for (std::size_t h = 0; h < kHeads; ++h) {
    const std::size_t of_keys = h / (kHeads / key_heads) * kHead;
    heads.push_back(test::attend(test::columns(q, h * kHead, kHead),
                                 test::columns(k, of_keys, kHead), test::columns(v, of_keys, kHead),
                                 keeps));
  }
  const Matrix y = test::side_by_side(heads);
  return options.output_matrix ? model.projected(y, "o") : y;
}

std::vector<double> naive(const Model& model, const Options& options, const Variable& x,
                          const Variable& memory) {
  std::vector<double> all;
  const auto length = static_cast<std::size_t>(x.dim(1)),
             keys = static_cast<std::size_t>(memory.dim(1));
  for (std::size_t b = 0; b < static_cast<std::size_t>(x.dim(0)); ++b) {
    const Matrix y =
        naive(model, options, test::rows_of(to_doubles(x.value()), b * length, length, kFeatures),
              row_of(x.mask(), b, length),
              test::rows_of(to_doubles(memory.value()), b * keys, keys, kFeatures),
              row_of(memory.mask(), b, keys));
    for (const auto& row : y) all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

Tensor kept(const Variable& y, const SequenceMask& mask) {
  Tensor value = y.value().clone();
  if (mask.defined()) fill_holes(value, mask, 0);
  return value;
}
std::vector<double> kept(std::vector<double> y, const SequenceMask& mask) {
  for (std::size_t i = 0; mask.defined() && i < y.size(); ++i) {
    if (!mask.bits().data<bool>()[i / kFeatures]) y[i] = 0;
  }
  return y;
}

// Left padding, a hole within, nothing at all.
SequenceMask some_mask() { return mask_of({0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0}, {3, 4}); }
SequenceMask memory_mask() {
  return mask_of({1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1}, {3, 5});
}
Variable input(std::int64_t length, const SequenceMask& mask, DType dtype = DType::kFloat64) {
  Random random(static_cast<std::uint64_t>(length));
  return Variable(uniform(random, {3, length, kFeatures}).to(dtype), Variable::kConstant, mask);
}

std::vector<Options> some_options() {
  return {{},
          {.key_heads = 2, .bias = false},
          {.kind = AttentionKind::kCausal},
          {.key_heads = 1, .kind = AttentionKind::kCausal, .rotary = ops::RotaryOptions()},
          {.rotary = ops::RotaryOptions{.base = 10000}},
          {.output_matrix = false},
          {.key_heads = 2, .bias = false, .output_matrix = false}};
}

TEST(MultiHeadAttention, IsAttentionOfEachHeadOverWhatExists) {
  for (const DType dtype : kFloatingDTypes) {
    for (const Options& options : some_options()) {
      for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
        Model model(options, dtype);
        const Variable x = input(4, mask, dtype);
        const Variable y = model.layer(x);
        EXPECT_TRUE(y.mask() == mask);
        EXPECT_TRUE(is_close(kept(y, mask), kept(naive(model, options, x, x), mask),
                             8 * test::tolerance(dtype)));
      }
    }
  }
}

TEST(MultiHeadAttention, AttendsToAnotherSequence) {
  for (const DType dtype : kFloatingDTypes) {
    for (const Options& options : {Options{}, Options{.key_heads = 2, .bias = false}}) {
      for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
        for (const SequenceMask& of_memory : {SequenceMask(), memory_mask()}) {
          Model model(options, dtype);
          const Variable x = input(4, mask, dtype), memory = input(5, of_memory, dtype);
          Pass pass;
          const Variable y = model.layer.attend(x, memory, pass);
          EXPECT_TRUE(y.mask() == mask);
          EXPECT_TRUE(is_close(kept(y, mask), kept(naive(model, options, x, memory), mask),
                               8 * test::tolerance(dtype)));
        }
      }
    }
  }
}

TEST(MultiHeadAttention, SendsRightGradientsToBothSequences) {
  Model model({.key_heads = 2});
  Variable x(input(4, some_mask()).value(), Variable::kRequiresGrad, some_mask());
  Variable memory(input(5, memory_mask()).value(), Variable::kRequiresGrad, memory_mask());
  std::vector<NamedLeaf> leaves = model.parameters.leaves();
  leaves.push_back({"x", x});
  leaves.push_back({"memory", memory});
  const auto loss = [&] {
    Pass pass;
    const Variable y = ops::fill_masked(model.layer.attend(x, memory, pass));
    return ops::sum(ops::multiply(y, y));
  };
  EXPECT_TRUE(gradients_agree(loss, leaves));
}

TEST(MultiHeadAttention, ReadsNothingThatIsMaskedInEitherSequence) {
  Model model({});
  const auto output = [&](double poison) {
    Tensor x = input(4, {}).value().clone(), memory = input(5, {}).value().clone();
    fill_holes(x, some_mask(), poison);
    fill_holes(memory, memory_mask(), poison);
    Pass pass;
    return kept(model.layer.attend(Variable(x, Variable::kConstant, some_mask()),
                                   Variable(memory, Variable::kConstant, memory_mask()), pass),
                some_mask());
  };
  EXPECT_TRUE(same_bits(output(kNaN), output(0)));
  EXPECT_TRUE(same_bits(output(test::kInf), output(-1)));
}

TEST(MultiHeadAttention, ThatIsCausalDoesNotDependOnWhatComesLater) {
  Model model({.kind = AttentionKind::kCausal});
  Tensor x = input(4, {}).value().clone();
  const Tensor before = model.layer(Variable(x.clone())).value().clone();
  for (std::size_t j = 0; j < kFeatures; ++j) x.data<double>()[3 * kFeatures + j] = kNaN;
  const Tensor after = model.layer(Variable(x)).value();
  EXPECT_TRUE(same_bits(after.view(0, {3, kFeatures}), before.view(0, {3, kFeatures})));
}

TEST(MultiHeadAttention, RefusesWhatItCannotDo) {
  const auto made = [](std::int64_t features, std::int64_t heads, const Options& options = {}) {
    return error_of([&] { MultiHeadAttention(features, heads, options); });
  };
  EXPECT_EQ(made(8, 3), "[MultiHeadAttention] 3 heads do not divide 8 features");
  EXPECT_EQ(made(8, 0), "[MultiHeadAttention] 0 heads do not divide 8 features");
  EXPECT_EQ(made(8, 4, {.key_heads = 3}),
            "[MultiHeadAttention] 3 heads of keys do not divide 4 heads");
  EXPECT_EQ(made(8, 4, {.key_heads = -1}),
            "[MultiHeadAttention] -1 heads of keys do not divide 4 heads");
  EXPECT_EQ(made(12, 4, {.rotary = ops::RotaryOptions()}),
            "[MultiHeadAttention] the features of a head must be even, got 3");
  EXPECT_EQ(made(8, 4, {.rotary = ops::RotaryOptions{.base = -3}}),
            "[MultiHeadAttention] base must be finite and above 0, got -3");
  EXPECT_EQ(made(0, 1), "[MultiHeadAttention] needs features above 0, got 0");
  EXPECT_EQ(made(-4, 1), "[MultiHeadAttention] needs features above 0, got -4");
  Model model({}), causal({.kind = AttentionKind::kCausal});
  Pass pass;
  EXPECT_EQ(error_of([&] {
              model.layer(Variable(Tensor::zeros({2, 8}, DType::kFloat64)));
            }),
            "[MultiHeadAttention] needs [B, S, 8], got (2, 8)");
  EXPECT_EQ(error_of([&] { causal.layer.attend(input(4, {}), input(5, {}), pass); }),
            "[MultiHeadAttention] attention to another sequence is neither causal nor rotated");
  Pass row = Pass().on_row(ops::packing_of(some_mask()));
  EXPECT_THAT(error_of([&] { model.layer.attend(input(4, {}), input(5, {}), row); }),
              ::testing::StartsWith("[MultiHeadAttention] needs a packed row of "));
  EXPECT_EQ(error_of([&] { model.layer.attend(Variable(), input(5, {}), pass); }),
            "[MultiHeadAttention] an input was used before it was given a value");
  EXPECT_EQ(
      error_of([&] {
        model.layer.attend(Variable(Tensor::zeros({2, 4, 8}, DType::kFloat64)), input(5, {}), pass);
      }),
      "[pass] attention needs [B, S, ...] and [B, T, ...], got (2, 4, 8) and (3, 5, 8)");
}

}  // namespace
}  // namespace maskgrad
