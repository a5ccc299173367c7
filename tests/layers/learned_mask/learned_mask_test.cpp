#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/learned_mask/learned_mask.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>

#include "layers/gates/gate_support.hpp"
#include "layers/learned_mask/sampler_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kNaN;
using test::make;
using test::mask_of;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;
// Some logits are above 0 and some below, also where all parameters are scaled.
constexpr MaskNetworkOptions kHalf = {.open = 0};

template <class... Args>
LayerSample sample_of(std::string name, Args... args) {
  return {std::move(name),
          [=] { return std::make_unique<LearnedMask>(kFeatures, make_sampler(args...), kHalf); }};
}

const bool kRegistered =
    register_layer(sample_of("LearnedMaskSoft", "soft")) &&
    register_layer(sample_of("LearnedMaskGumbel", "gumbel")) &&
    register_layer(sample_of("LearnedMaskHardConcrete", "hard-concrete")) &&
    register_layer({"HardMask", [] { return std::make_unique<HardMask>(kFeatures, kHalf); }}) &&
    register_layer({"MaskNetwork", [] { return std::make_unique<MaskNetwork>(kFeatures); }}) &&
    register_layer({"MaskNetworkHidden", [] {
                      return std::make_unique<MaskNetwork>(
                          kFeatures, MaskNetworkOptions{.hidden = 3, .bound = 0});
                    }});

Variable random_value(const Shape& shape, SequenceMask mask = {}, std::uint64_t seed = 1) {
  Random random(seed);
  return test::leaf(test::uniform(random, shape), std::move(mask));
}

TEST(MaskNetwork, ScoresEachPositionWithinItsBound) {
  MaskNetwork network(
      2, {.hidden = 3, .activation = Activation::kTanh, .bound = 6, .middle = 1.5, .open = 2});
  ParameterBuffer parameters(network, DType::kFloat64, 1);
  EXPECT_NEAR(network(Variable(Tensor::zeros({1, 1, 2}, DType::kFloat64))).item(), 2, 1e-14);
  Random random(2);
  test::redraw(parameters, random);
  const Tensor x = test::uniform(random, {2, 2, 2});
  const test::Matrix h = test::affine(test::rows(x), parameters, "w1", "b1");
  std::vector<double> expected;
  for (const auto& row : h) {
    double u = test::weights(parameters, "b2")[0][0];
    for (std::size_t j = 0; j < 3; ++j)
      u += std::tanh(row[j]) * test::weights(parameters, "w2")[j][0];
    expected.push_back(1.5 + u / (1 + std::abs(u) / 6));
  }
  const Variable logits = network(Variable(x));
  EXPECT_EQ(logits.shape(), Shape({2, 2}));
  EXPECT_TRUE(test::is_close(logits.value(), expected));
  const Variable far(Tensor::full({1, 3, 2}, 1e30, DType::kFloat64));
  for (const double l : to_doubles(network(far).value())) EXPECT_LE(std::abs(l - 1.5), 6);
}

// A step of Adam is as long for a small gradient, so logits go near their bounds.
TEST(MaskNetwork, FeelsWhatPullsItBackFromItsBound) {
  MaskNetwork network(1, {.bound = 4, .open = 0});
  ParameterBuffer parameters(network, DType::kFloat32, 1);
  parameters.values().fill(1);
  for (const double u : {-200.0, 200.0}) {
    parameters.clear_gradients();
    Tape tape;
    const Variable logit = network(Variable(Tensor::full({1, 1, 1}, u - 1, DType::kFloat32)));
    tape.backward(ops::sum(logit));
    EXPECT_NEAR(std::abs(logit.item()), 4 / (1 + 4 / 200.0), 1e-5);
    EXPECT_NEAR(parameters.leaves()[1].leaf.grad().item(), 1 / (51.0 * 51.0), 1e-7);
  }
}

TEST(MaskNetwork, IsAtItsBoundWhereItIsSureBeyondMeasure) {
  for (const double bound : {1e-3, 0.5, 4.0}) {
    MaskNetwork network(1, {.bound = bound, .open = 0});
    ParameterBuffer parameters(network, DType::kFloat32, 1);
    parameters.values().fill(1);
    for (const double u : {1e20, 3e38, test::kInf}) {
      for (const double sign : {-1.0, 1.0}) {
        const Variable x(Tensor::full({1, 1, 1}, sign * u, DType::kFloat32));
        EXPECT_NEAR(network(x).item(), sign * bound, 1e-6 * bound) << u;
      }
    }
    const Variable nan(Tensor::full({1, 1, 1}, test::kNaN, DType::kFloat32));
    EXPECT_TRUE(std::isnan(network(nan).item()));
  }
}

TEST(MaskNetwork, StartsOpenWithoutABoundToo) {
  MaskNetwork network(2, {.bound = 0, .middle = 1.5, .open = 4});
  const ParameterBuffer parameters(network, DType::kFloat64, 1);
  EXPECT_EQ(network(Variable(Tensor::zeros({1, 1, 2}, DType::kFloat64))).item(), 4);
}

TEST(MaskNetwork, IsSoundAtExtremesAndWithoutPositions) {
  for (const std::int64_t hidden : {0, 4}) {
    const test::MakeLayer make = [=] {
      return std::make_unique<MaskNetwork>(kFeatures, MaskNetworkOptions{.hidden = hidden});
    };
    test::expect_nothing_of_nothing(make, kFeatures);
    test::expect_finite_at_extremes(make, kFeatures);
  }
  EXPECT_EQ(error_of([] { MaskNetwork(3, {.bound = 2, .open = 2}); }),
            "[MaskNetwork] starts with a finite logit less than 2 from 0, not with 2");
  EXPECT_EQ(error_of([] { MaskNetwork(3, {.bound = 2, .middle = NAN, .open = 2}); }),
            "[MaskNetwork] needs a finite middle, got nan");
  EXPECT_EQ(error_of([] { MaskNetwork(3, {.bound = -1}); }),
            "[MaskNetwork] needs a finite bound of at least 0, got -1");
  EXPECT_EQ(error_of([] { MaskNetwork(3, {.bound = 1e-310, .open = 0}); }),
            "[MaskNetwork] needs a finite bound of at least 0, got 1e-310");
  EXPECT_EQ(error_of([] { MaskNetwork(0); }),
            "[MaskNetwork] needs features above 0, and hidden ones of at least 0; got 0 and 0");
  MaskNetwork network(3);
  EXPECT_EQ(error_of([&] {
              network(Variable(Tensor::zeros({2, 3}, DType::kFloat32)));
            }),
            "[MaskNetwork] needs [B, S, 3], got (2, 3)");
}

TEST(LearnedMask, MultipliesInTrainingAndCarriesNoMaskOfItsOwn) {
  for (const std::string& name : sampler_names()) {
    LearnedMask layer(kFeatures, make_sampler(name), kHalf);
    ParameterBuffer parameters(layer, DType::kFloat64, 3);
    const Variable x = random_value({2, 4, kFeatures});
    Pass pass = Pass::training(1, 1);
    const LearnedMask::Drawn drawn = layer.draw(x, pass);
    EXPECT_FALSE(drawn.y.mask().defined()) << name;
    std::vector<double> expected = to_doubles(x.value());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] *= to_doubles(drawn.sample.keep.value())[i / kFeatures];
    }
    EXPECT_TRUE(test::is_close(drawn.y.value(), expected, 0)) << name;
    EXPECT_TRUE(same_bits(layer(x, pass).value(), drawn.y.value())) << name;
  }
}

// A mask that had made holes would drop what arrives there.
TEST(LearnedMask, SendsAGradientToTheLogitOfAPositionThatItDrops) {
  LearnedMask layer(1, make_sampler("straight-through"), {.bound = 0, .open = -1});
  ParameterBuffer parameters(layer, DType::kFloat64, 3);
  Tensor(parameters.named_values().at("network.w2")).copy_from(make({0}, {1, 1}));
  Tape tape;
  Pass pass = Pass::training(1, 1);
  const Variable x = test::leaf(make({5}, {1, 1, 1}));
  const Variable y = layer(x, pass);
  EXPECT_EQ(y.item(), 0);
  tape.backward(y);
  const double s = test::logistic(-1);
  EXPECT_TRUE(test::is_close(parameters.named_pieces(parameters.gradients()).at("network.b2"),
                             {5 * s * (1 - s)}));
}

// The positions that are kept, as a batch of their own.
Variable only_kept(const Variable& x, const SequenceMask& mask, std::int64_t b) {
  const ops::Packing packing = ops::packing_of(mask);
  const Tensor row = ops::pack(Variable(x.value()), packing).value();
  std::int64_t first = 0, count = 0;
  for (const std::int64_t segment : packing.segments.values<std::int64_t>()) {
    first += segment < b;
    count += segment == b;
  }
  return Variable(row.view(first * kFeatures, {1, count, kFeatures}).clone());
}

TEST(LearnedMask, IsSkippedByWhatFollowsInInference) {
  Sequential model;
  model.add<LearnedMask>("mask", kFeatures, make_sampler("soft"), kHalf);
  model.add<Encoder>("encoder",
                     TransformerOptions{.features = kFeatures, .hidden = 7, .layers = 2});
  ParameterBuffer parameters(model, DType::kFloat64, 5);
  const SequenceMask exists =
      mask_of({1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, {3, 6});
  const Variable x = random_value({3, 6, kFeatures}, exists);
  const SequenceMask kept = model.layer("mask")(x).mask();
  ASSERT_GT(kept.kept(), 3);
  ASSERT_LT(kept.kept(), exists.kept());
  EXPECT_EQ((kept & exists).kept(), kept.kept());
  for (const PackWhen when : {PackWhen::kNever, PackWhen::kAlways}) {
    model.pack(when);
    const Variable y = model(x);
    EXPECT_TRUE(y.mask() == kept);
    for (std::int64_t b = 0; b < 3; ++b) {
      const Variable alone = only_kept(x, kept, b);
      if (alone.dim(1) == 0) continue;
      EXPECT_TRUE(test::is_close(only_kept(y, kept, b).value(),
                                 to_doubles(model.layer("encoder")(alone).value()), 1e-12));
    }
  }
}

TEST(LearnedMask, HardensToALayerOfTheSameParameters) {
  LearnedMask layer(kFeatures, make_sampler("gumbel"), {.hidden = 4, .open = 0});
  const ParameterBuffer learned(layer, DType::kFloat64, 7);
  const std::optional<Hardened> made = layer.harden();
  Layer* const hard = made->layer.get();
  ParameterBuffer parameters(*hard, DType::kFloat64, 8);
  parameters.load(made->values);
  const Variable x = random_value({4, 6, kFeatures});
  const Variable y = layer(x);
  EXPECT_TRUE(y.mask().defined());
  EXPECT_TRUE(same_bits((*hard)(x).value(), y.value()));
  Pass pass = Pass::training(1, 1);
  const Variable trained = (*hard)(x, pass);
  EXPECT_TRUE(same_bits(trained.value(), y.value()));
  EXPECT_TRUE(trained.mask() == y.mask());
}

TEST(LearnedMask, TakesBatchesWithoutAPositionThatExists) {
  LearnedMask layer(kFeatures, make_sampler("reinforce"), kHalf);
  ParameterBuffer parameters(layer, DType::kFloat64, 3);
  for (const Shape& shape :
       {Shape{0, 3, kFeatures}, Shape{2, 0, kFeatures}, Shape{2, 3, kFeatures}}) {
    const SequenceMask none(Tensor::zeros(shape.slice(0, 2), DType::kBool));
    const Variable x = test::leaf(Tensor::full(shape, kNaN, DType::kFloat64), none);
    EXPECT_EQ(layer(x).mask().kept(), 0);
    Pass pass = Pass::training(1, 1);
    Tape tape;
    const LearnedMask::Drawn drawn = layer.draw(x, pass);
    EXPECT_EQ(sparsity_cost(drawn.kept).sum.item(), 0);
    EXPECT_EQ(sparsity_cost(drawn.kept).count, 0);
    parameters.clear_gradients();
    tape.backward(drawn.y, Tensor::full(shape, kNaN, DType::kFloat64));
    for (const double g : to_doubles(parameters.gradients())) EXPECT_EQ(g, 0);
  }
}

TEST(LearnedMask, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] { LearnedMask(3, nullptr); }), "[LearnedMask] needs a sampler");
  LearnedMask layer(3, make_sampler("soft"));
  Pass inference;
  const Variable x(Tensor::zeros({1, 2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { layer.draw(x, inference); }), "[LearnedMask] draws in training only");
  EXPECT_EQ(error_of([&] {
              times_keep(x, Variable(Tensor::zeros({2, 2}, DType::kFloat32)));
            }),
            "[LearnedMask] keep (2, 2) does not fit a value of (1, 2, 3)");
}

TEST(SparsityCost, CountsPositionsThatExist) {
  const SequenceMask mask = mask_of({1, 1, 0, 1}, {2, 2});
  Variable kept = test::leaf(make({0.25, 1, kNaN, 0.5}, {2, 2}), mask);
  for (const Price price : {Price::kKept, Price::kMasked}) {
    kept.clear_grad();
    Tape tape;
    const ops::SumCount cost = sparsity_cost(kept, price);
    EXPECT_EQ(cost.sum.item(), price == Price::kKept ? 1.75 : 1.25);
    EXPECT_EQ(cost.count, 3);
    tape.backward(cost.sum);
    const double sign = price == Price::kKept ? 1 : -1;
    EXPECT_THAT(to_doubles(kept.grad()), ElementsAre(sign, sign, 0, sign));
    EXPECT_EQ(price_from_string(to_string(price)), price);
  }
  EXPECT_EQ(error_of([] { price_from_string("all"); }), "[price] 'all' is not one of kept, masked");
  EXPECT_EQ(error_of([] { sparsity_cost(Variable(Tensor::zeros({2}, DType::kFloat32))); }),
            "[sparsity_cost] needs [B, S], got (2,)");
}

}  // namespace
}  // namespace maskgrad
