// Layers that go wrong with masks in ways that people do, each found by a check that names the
// operation and the layer.
#include <functional>
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "layers/random_pieces.hpp"
#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::bits_of;
using test::shifted;

constexpr std::int64_t kFeatures = 4;
using Mistake = std::function<Variable(const Variable& x)>;

class Mistaken : public Layer {
 public:
  explicit Mistaken(Mistake mistake, MaskRule rule)
      : Layer("Mistaken", rule), mistake_(std::move(mistake)) {}

 protected:
  Variable forward(const Variable& x, Pass&) override { return mistake_(x); }

 private:
  Mistake mistake_;
};

struct Case {
  const char* name;
  const char* op;  // to be named
  MaskRule rule;
  Mistake mistake;  // from [B, S, 4] with a mask
};

Variable along_positions(const Variable& x) { return ops::permute(drop_mask(x), {0, 2, 1}); }

std::vector<Case> cases() {
  const auto keeps = MaskRule::kKeeps;
  const auto ends = MaskRule::kEnds;
  const std::int64_t positions[] = {1};
  return {
      {"MultipliesByTheMask", "sum", ends,
       [=](const Variable& x) {
         return ops::sum(ops::multiply(drop_mask(x), bits_of(x)), positions);
       }},
      {"AveragesOverAllPositions", "mean", ends,
       [=](const Variable& x) { return ops::mean(drop_mask(x), positions); }},
      {"TakesTheMaximumOfAllPositions", "max", ends,
       [](const Variable& x) { return ops::max(drop_mask(x), 1); }},
      {"SumsOverAllPositions", "sum", ends,
       [=](const Variable& x) { return ops::sum(drop_mask(x), positions); }},
      {"ShiftsTheMask", "with_mask", MaskRule::kChanges,
       [](const Variable& x) { return ops::with_mask(drop_mask(x), shifted(x.mask())); }},
      {"InvertsTheMask", "with_mask", MaskRule::kChanges,
       [](const Variable& x) { return ops::with_mask(drop_mask(x), ~x.mask()); }},
      {"AddsTheMeanOfThePositions", "mean", keeps,
       [=](const Variable& x) {
         const Variable mean = ops::mean(drop_mask(x), positions, true);
         return ops::with_mask(ops::add(drop_mask(x), mean), x.mask());
       }},
      {"NormalisesAlongPositions", "layer_norm", ends,
       [](const Variable& x) {
         const Tensor one = Tensor::full({x.dim(1)}, 1, x.dtype());
         const Tensor zero = Tensor::zeros({x.dim(1)}, x.dtype());
         return ops::layer_norm(along_positions(x), Variable(one), Variable(zero));
       }},
      {"AttendsWithAMaskOfQueries", "softmax", ends,
       [](const Variable& x) {
         const Variable scores = ops::matmul(drop_mask(x), drop_mask(x), false, true);
         return ops::matmul(ops::softmax(scores), ops::fill_masked(x));
       }},
      {"AttendsWithZeroWeightsToWhatItMasks", "matmul", keeps,
       [](const Variable& x) {
         const Variable filled = ops::fill_masked(x);
         const Shape keys = {x.dim(0), 1, x.dim(1)};
         const Variable scores = ops::matmul(filled, filled, false, true);
         const Variable weights = ops::masked_softmax(scores, x.mask().bits().reshape(keys));
         return ops::with_mask(ops::matmul(weights, drop_mask(x)), x.mask());
       }},
      {"AttendsWithTheMaskOfTheNextPosition", "scaled_dot_product_attention", keeps,
       [](const Variable& x) {
         const Variable heads = ops::reshape(drop_mask(x), {x.dim(0), 1, x.dim(1), kFeatures});
         const AttentionMask mask = AttentionMask::padding(shifted(x.mask()));
         const Variable y = ops::scaled_dot_product_attention(heads, heads, heads, mask);
         return ops::with_mask(ops::reshape(y, {x.dim(0), x.dim(1), kFeatures}), x.mask());
       }},
  };
}

SequenceMask some_mask() { return test::mask_of({1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0}, {3, 4}); }

class LeakyLayer : public ::testing::TestWithParam<Case> {
 protected:
  LeakyLayer() {
    model_.add<Dense>("before", kFeatures, kFeatures)
        .add<Mistaken>("mistaken", GetParam().mistake, GetParam().rule);
    parameters_ = std::make_unique<ParameterBuffer>(model_, DType::kFloat64, 1);
    Random random(1);
    x_ = test::leaf(test::uniform(random, {3, 4, kFeatures}), some_mask());
  }

  Variable loss() {
    const Variable y = ops::fill_masked(model_(x_));
    return ops::sum(ops::multiply(y, y));
  }

  Sequential model_;
  std::unique_ptr<ParameterBuffer> parameters_;
  Variable x_;
};
INSTANTIATE_TEST_SUITE_P(Case, LeakyLayer, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST_P(LeakyLayer, IsNamedByTheLeakCheck) {
  const LeakReport report = check_mask_leaks([&] { return loss(); }, parameters_->leaves());
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.leaks.front().op, GetParam().op) << to_string(report);
  EXPECT_EQ(report.leaks.front().layer, "mistaken") << to_string(report);
}

// What looks wrong on the way, and is right in the end.
TEST(ALayer, ThatComputesEverywhereAndMasksAgainIsRight) {
  Sequential model;
  const Mistake no_mistake = [](const Variable& x) {
    return ops::with_mask(ops::multiply(drop_mask(x), bits_of(x)), x.mask());
  };
  model.add<Dense>("before", kFeatures, kFeatures)
      .add<Mistaken>("x", no_mistake, MaskRule::kKeeps)
      .add<GlobalPool>("pool");
  const ParameterBuffer parameters(model, DType::kFloat64, 1);
  Random random(3);
  const Variable x = test::leaf(test::uniform(random, {3, 4, kFeatures}), some_mask());
  const LeakReport report =
      check_mask_leaks([&] { return ops::sum(model(x)); }, parameters.leaves());
  EXPECT_TRUE(report.holds()) << to_string(report);
}

TEST_P(LeakyLayer, IsOnThePathThatTheProofFinds) {
  Tape tape({.trace = true});
  loss();
  const MaskProof proof = prove_mask(tape);
  ASSERT_FALSE(proof.holds());
  EXPECT_THAT(proof.path, ::testing::Contains(::testing::HasSubstr("in layer 'mistaken'")));
}

// The mean over all positions, padding counted as 0: nothing masked is read, but its number is.
Variable mean_over_all(const Variable& x) {
  static const OpDef op = [] {
    OpDef def;
    def.name = "mean_over_all";
    def.inputs = {{.name = "input", .reach = Reach::kEverything}};
    def.mask_rule = MaskRule::kEnds;
    return def;
  }();
  const auto length = static_cast<double>(x.dim(1));
  Tensor y;
  {
    const NoGrad no_grad;
    const std::int64_t axes[] = {1};
    y = ops::scale(ops::sum(ops::fill_masked(x), axes), 1 / length).value();
  }
  return record(op, {&x}, y, [shape = x.shape()](const Tensor&, Gradients& grads) {
    grads.set(0, Tensor::zeros(shape, DType::kFloat64));  // of no matter here
  });
}

TEST(LeakyLayers, ThatCountPaddingAreFoundByMorePadding) {
  const auto forward = [](std::int64_t extra) {
    Tensor values = Tensor::zeros({1, 3 + extra, 2}, DType::kFloat64);
    std::fill_n(values.data<double>(), 4, 1.0);
    const std::int64_t lengths[] = {2};
    const Variable x(values, Variable::kConstant, SequenceMask::from_lengths(lengths, 3 + extra));
    const Scope layer("pool");
    return ops::sum(mean_over_all(ops::scale(x, 2)));
  };
  const PaddingReport report = check_padding(forward, {});
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.changes.front().op, "mean_over_all");
  EXPECT_EQ(report.changes.front().layer, "pool");
}

TEST(LeakyLayers, ThatForgetTheMaskInALossAreFound) {
  Random random(2);
  const Variable x = test::leaf(test::uniform(random, {3, 4, kFeatures}), some_mask());
  const Tensor targets = Tensor::zeros({3, 4}, DType::kInt64);
  const LeakReport report = check_mask_leaks(
      [&] { return ops::cross_entropy(drop_mask(ops::scale(x, 2)), targets).mean(); },
      std::vector<NamedLeaf>{{"x", x}});
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.leaks.front().op, "cross_entropy");
}

}  // namespace
}  // namespace maskgrad
