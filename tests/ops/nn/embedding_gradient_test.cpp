// A table's gradient is cleared only where the last pass wrote it, and still is what its formula
// says, whoever else writes to it.
#include <algorithm>

#include <gtest/gtest.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/pool.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::kFloatingDTypes;
using test::leaf;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kRows = 64, kFeatures = 3;

// A table bound to a buffer, and the gradient that it should have by now. Each use gives a sum.
class Table {
 public:
  explicit Table(DType dtype, bool bound = true) : dtype_(dtype) {
    weight = leaf(uniform(random_, {kRows, kFeatures}).to(dtype));
    buffer = Tensor::full({kRows, kFeatures}, 99, dtype);
    if (bound) gathered_ = weight.bind(weight.value().clone(), buffer);
  }

  // The vectors of some tokens, one of them masked, each element times a number.
  Variable look_up(std::int64_t count = 5) {
    Tensor tokens = Tensor::empty({1, count}, DType::kInt64);
    const std::vector<double> factors = numbers(count);
    Tensor keep = Tensor::full({1, count}, 1, DType::kBool);
    keep.data<bool>()[3] = false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::int64_t token = i == 3 ? -1 : random_.integer(0, kRows - 1);
      tokens.data<std::int64_t>()[i] = token;
      for (std::size_t d = 0; i != 3 && d < kFeatures; ++d) {
        expected_[static_cast<std::size_t>(token) * kFeatures + d] += factors[i * kFeatures + d];
      }
    }
    const Variable ids(tokens, Variable::kConstant, SequenceMask(keep));
    const Variable y = ops::embedding(weight, ids);
    return weighted(drop_mask(y), factors);
  }

  // All elements, each times a number: its gradient has no zeros, like that of a tied output.
  Variable use_all() {
    const std::vector<double> factors = numbers(kRows);
    for (std::size_t i = 0; i < factors.size(); ++i) expected_[i] += factors[i];
    return weighted(weight, factors);
  }

  void expect_nothing() { std::fill(expected_.begin(), expected_.end(), 0.0); }
  // Forgets the gradient as a ParameterBuffer does, to whom the memory belongs.
  void clear_as_owner() {
    gathered_ ? gathered_->clear() : weight.clear_grad();
    expect_nothing();
  }
  // Looks into the gradient, which does not notice.
  ::testing::AssertionResult is_right() const {
    return test::is_close(weight.gradient()->sum(), expected_,
                          dtype_ == DType::kFloat64 ? 1e-15 : 1e-6);
  }

  Variable weight;
  Tensor buffer;

 private:
  // As the dtype holds them.
  std::vector<double> numbers(std::int64_t rows) {
    return to_doubles(uniform(random_, {rows, kFeatures}).to(dtype_));
  }
  Variable weighted(const Variable& x, const std::vector<double>& factors) {
    return ops::sum(ops::multiply(x, Variable(test::make(factors, x.shape(), dtype_))));
  }

  DType dtype_;
  Random random_{3};
  Ref<Gradient> gathered_;  // of a table that is bound
  std::vector<double> expected_ = std::vector<double>(kRows * kFeatures);
};

void pass(Table& table, std::int64_t tokens = 5) {
  Tape tape;
  tape.backward(table.look_up(tokens));
}

TEST(EmbeddingGradient, HoldsOnlyTheRowsOfTheLastTokens) {
  for (const DType dtype : kFloatingDTypes) {
    Table table(dtype);
    for (int step = 0; step < 20; ++step) {
      table.clear_as_owner();
      pass(table);
      EXPECT_TRUE(table.is_right()) << step;
    }
  }
}

// Many tokens reach most rows, which are then cleared as a whole.
TEST(EmbeddingGradient, HoldsThemAfterAPassOfMoreTokensToo) {
  Table table(DType::kFloat64);
  for (const std::int64_t tokens : {5, 100, 5, 8, 9, 4, 7}) {
    table.clear_as_owner();
    pass(table, tokens);
    EXPECT_TRUE(table.is_right()) << tokens;
  }
}

TEST(EmbeddingGradient, GathersOverSeveralPassesAndStartsAgain) {
  Table table(DType::kFloat64);
  for (int passes : {1, 3, 1, 2, 1, 1}) {
    table.clear_as_owner();
    for (int i = 0; i < passes; ++i) pass(table);
    EXPECT_TRUE(table.is_right()) << passes;
  }
}

TEST(EmbeddingGradient, GathersInALeafWithoutABuffer) {
  Table table(DType::kFloat64, /*bound=*/false);
  for (int passes : {1, 3, 1}) {
    table.weight.clear_grad();
    table.expect_nothing();
    for (int i = 0; i < passes; ++i) pass(table);
    EXPECT_TRUE(table.is_right()) << passes;
  }
}

TEST(EmbeddingGradient, AddsThoseOfTwoLookUpsInOneTable) {
  Table table(DType::kFloat64);
  for (int step = 0; step < 5; ++step) {
    table.clear_as_owner();
    Tape tape;
    tape.backward(ops::add(table.look_up(), table.look_up()));
    EXPECT_TRUE(table.is_right()) << step;
    table.clear_as_owner();
    pass(table);
    EXPECT_TRUE(table.is_right()) << step << ", alone";
  }
}

TEST(EmbeddingGradient, SharesTheTableWithAnOperationThatReadsAllOfIt) {
  for (const bool before : {true, false}) {
    Table table(DType::kFloat64);
    for (int step = 0; step < 5; ++step) {
      table.clear_as_owner();
      Tape tape;
      const Variable first = before ? table.use_all() : table.look_up();
      const Variable second = before ? table.look_up() : table.use_all();
      tape.backward(ops::add(first, second));
      EXPECT_TRUE(table.is_right()) << step;
      table.clear_as_owner();
      pass(table);
      EXPECT_TRUE(table.is_right()) << step << ", alone";
    }
  }
}

TEST(EmbeddingGradient, SurvivesThatItWasWrittenTo) {
  Table table(DType::kFloat64);
  pass(table);
  for (int step = 0; step < 3; ++step) {
    // Through the leaf: a weight decay, for one.
    Tensor gradient = table.weight.grad();
    gradient.fill(7);
    table.clear_as_owner();
    pass(table);
    EXPECT_TRUE(table.is_right()) << step;
    // Through the memory that was bound, by who then clears the leaf.
    table.buffer.fill(8);
    table.weight.clear_grad();
    table.expect_nothing();
    pass(table);
    EXPECT_TRUE(table.is_right()) << step;
  }
}

// The gradient of a table after g has come to the vectors of some tokens [B, S].
Tensor gradient_of(std::int64_t vocabulary, const Tensor& tokens, const SequenceMask& mask,
                   const Tensor& g) {
  Variable weight = leaf(Tensor::zeros({vocabulary, g.dim(-1)}, g.dtype()));
  Tape tape;
  const Variable ids(tokens, Variable::kConstant, mask);
  tape.backward(drop_mask(ops::embedding(weight, ids)), g);
  return weight.grad();
}

// g [B, S, D] of tokens [B, S] with `more` masked positions behind each sample.
Tensor padded_gradient(std::int64_t vocabulary, const Tensor& tokens, const Tensor& g,
                       std::int64_t more) {
  const std::int64_t batch = tokens.dim(0), length = tokens.dim(1), features = g.dim(2);
  const std::int64_t longer = length + more;
  Tensor ids = Tensor::full({batch, longer}, 1, DType::kInt64);
  Tensor keep = Tensor::zeros({batch, longer}, DType::kBool);
  Tensor all = Tensor::full({batch, longer, features}, 3, g.dtype());
  for (std::int64_t b = 0; b < batch; ++b) {
    std::copy_n(tokens.data<std::int64_t>() + b * length, length,
                ids.data<std::int64_t>() + b * longer);
    std::fill_n(keep.data<bool>() + b * longer, length, true);
    std::copy_n(g.data<float>() + b * length * features, length * features,
                all.data<float>() + b * longer * features);
  }
  return gradient_of(vocabulary, ids, SequenceMask(keep), all);
}

// Many samples of a small table are summed side by side, those of a large one in a row.
TEST(EmbeddingGradient, IsASumWhoseBitsDependNeitherOnThreadsNorOnPadding) {
  constexpr std::int64_t kBatch = 70, kLength = 5, kWidth = 17;
  Random random(8);
  for (const std::int64_t vocabulary : {20, 128, 129, 5000}) {
    Tensor tokens = Tensor::empty({kBatch, kLength}, DType::kInt64);
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      tokens.data<std::int64_t>()[i] =
          random.integer(0, std::min<std::int64_t>(vocabulary, 40) - 1);
    }
    const Tensor g = uniform(random, {kBatch, kLength, kWidth}).to(DType::kFloat32);
    std::vector<double> expected(static_cast<std::size_t>(vocabulary * kWidth));
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      for (std::int64_t d = 0; d < kWidth; ++d) {
        expected[static_cast<std::size_t>(tokens.data<std::int64_t>()[i] * kWidth + d)] +=
            static_cast<double>(g.data<float>()[i * kWidth + d]);
      }
    }
    const Tensor one = gradient_of(vocabulary, tokens, {}, g);
    EXPECT_TRUE(test::is_close(one, expected, 1e-5)) << vocabulary;
    for (const int threads : {2, 3}) {
      const test::WithThreads more(threads);
      EXPECT_TRUE(test::same_bits(gradient_of(vocabulary, tokens, {}, g), one)) << vocabulary;
      EXPECT_TRUE(test::same_bits(padded_gradient(vocabulary, tokens, g, 30), one)) << vocabulary;
    }
    EXPECT_TRUE(test::same_bits(padded_gradient(vocabulary, tokens, g, 30), one)) << vocabulary;
  }
}

struct Replaces : TapeObserver {
  void on_output(const OpDef&, Tensor&, const SequenceMask&) override {}
  void on_gradient(const Node&, const std::string&, std::size_t, Tensor& grad) override {
    if (grad.shape() == Shape{kRows, kFeatures}) grad = Tensor::full(grad.shape(), 5, grad.dtype());
  }
};

TEST(EmbeddingGradient, SurvivesAnObserverThatReplacesIt) {
  Table table(DType::kFloat64);
  pass(table);
  table.clear_as_owner();
  Replaces observer;
  {
    Tape tape({.observer = &observer});
    tape.backward(table.look_up());
  }
  EXPECT_EQ(to_doubles(table.buffer), std::vector<double>(kRows * kFeatures, 5.0));
  table.clear_as_owner();
  pass(table);
  EXPECT_TRUE(table.is_right());
}

struct Moved {
  std::uint64_t filled, copied, allocated;
  friend bool operator==(const Moved&, const Moved&) = default;
};

// Of a backward pass over `tokens` places of a table with `rows` rows of two floats, once the
// table's gradient has been written before.
Moved moved_by_a_pass(std::int64_t rows, std::int64_t tokens) {
  Variable weight = leaf(Tensor::zeros({rows, 2}, DType::kFloat32));
  const Ref<Gradient> gathered =
      weight.bind(weight.value().clone(), Tensor::empty({rows, 2}, DType::kFloat32));
  Tensor ids = Tensor::empty({tokens}, DType::kInt64);
  for (std::int64_t i = 0; i < tokens; ++i) ids.data<std::int64_t>()[i] = 7 * i % 1000;
  const Tensor grad_output = Tensor::full({tokens, 2}, 1.0, DType::kFloat32);
  Moved moved{};
  for (int pass = 0; pass < 2; ++pass) {
    gathered->clear();
    Tape tape;
    const Variable y = ops::embedding(weight, Variable(ids));
    const Traffic before = Traffic::so_far();
    const Pool::Stats pool = Pool::cpu().stats();
    tape.backward(y, grad_output);
    moved = {Traffic::so_far().filled - before.filled, Traffic::so_far().copied - before.copied,
             Pool::cpu().stats().bytes_handed_out - pool.bytes_handed_out};
  }
  return moved;
}

TEST(EmbeddingGradient, CostsWhatItsTokensDoWhateverTheSizeOfTheTable) {
  const Moved small = moved_by_a_pass(1000, 100), large = moved_by_a_pass(1'000'000, 100);
  EXPECT_TRUE(small == large);
  EXPECT_EQ(large.filled, 100U * 2 * sizeof(float));
  EXPECT_EQ(large.copied, 0U);
  EXPECT_LE(large.allocated, 100 * 16 * sizeof(std::int64_t) + 512);
  EXPECT_EQ(moved_by_a_pass(1'000'000, 200).filled, 2 * large.filled);
}

// 8 rows of 5,000 places each. Few sums are made in passing, many by threads: in the same order.
TEST(EmbeddingGradient, HasTheSameBitsForAFeatureAloneAndBesideOthers) {
  constexpr std::int64_t kPlaces = 40000;
  for (const DType dtype : kFloatingDTypes) {
    Random random(4);
    Tensor tokens = Tensor::empty({kPlaces}, DType::kInt64);
    for (std::int64_t i = 0; i < kPlaces; ++i) tokens.data<std::int64_t>()[i] = i * 5 % 8;
    const std::vector<double> g = to_doubles(uniform(random, {kPlaces, 3}));
    const auto gradient = [&](std::int64_t features) {
      std::vector<double> part;
      for (std::size_t i = 0; i < g.size(); i += 3) {
        part.insert(part.end(), g.begin() + static_cast<std::ptrdiff_t>(i),
                    g.begin() + static_cast<std::ptrdiff_t>(i) + features);
      }
      const Variable weight = leaf(Tensor::zeros({8, features}, dtype));
      Tape tape;
      tape.backward(ops::embedding(weight, Variable(tokens)),
                    test::make(part, {kPlaces, features}, dtype));
      return to_doubles(weight.grad());
    };
    const std::vector<double> alone = gradient(1), beside = gradient(3);
    for (std::size_t row = 0; row < 8; ++row) EXPECT_EQ(alone[row], beside[3 * row]) << row;
  }
}

}  // namespace
}  // namespace maskgrad
