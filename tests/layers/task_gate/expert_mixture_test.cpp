// How experts are put together, whoever chooses.
#include <numeric>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dropout.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/task_gate/mixture_support.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::is_close;
using test::kept;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kFeatures = 6, kExperts = 3;

// With two experts each serves somebody here, so that all parameters are read.
const bool kRegistered =
    register_layer({"BestOfTaskGate", [] {
                      constexpr std::int64_t kWidth = LayerSample::kFeatures;
                      return std::make_unique<test::Inferring>(std::make_unique<TaskGate>(
                          kWidth, test::attention_experts(kWidth, 2), Mixing::kBest));
                    }});

Choice choice_of_shares(const std::vector<double>& shares, DType dtype = DType::kFloat64) {
  return choice_of(
      Variable(test::make(shares, {std::ssize(shares) / kExperts, kExperts}).to(dtype)));
}

Drawn<TaskGate> gate(Mixing mixing = Mixing::kSoft, DType dtype = DType::kFloat64) {
  return Drawn<TaskGate>(dtype, kFeatures, test::attention_experts(kFeatures), mixing);
}

// Three samples, the second without positions.
SequenceMask some_mask() { return test::mask_of({1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1}, {3, 4}); }
Variable input(const SequenceMask& mask, DType dtype = DType::kFloat64) {
  Random random(5);
  return Variable(test::uniform(random, {3, 4, kFeatures}).to(dtype), Variable::kConstant, mask);
}

TEST(ExpertMixture, AddsTheOutputsByTheirShares) {
  Drawn<TaskGate> drawn = gate();
  const Variable x = input({});
  const Choice choice = choice_of_shares({0.5, 0.2, 0.3, 0, 0.25, 0.75, 1, 0, 0});
  Pass pass;
  const Tensor y = drawn.layer.mix(choice, x, pass).value();
  std::vector<double> expected(static_cast<std::size_t>(y.numel()));
  for (std::size_t c = 0; c < kExperts; ++c) {
    const std::vector<double> part = to_doubles(drawn.layer.expert(c)(x, pass).value());
    for (std::size_t i = 0; i < part.size(); ++i) {
      expected[i] +=
          to_doubles(choice.shares.value())[i / (4 * kFeatures) * kExperts + c] * part[i];
    }
  }
  EXPECT_TRUE(is_close(y, expected));
}

TEST(ExpertMixture, TakesTheBestAloneWithTheBitsOfItsExpert) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
      Drawn<TaskGate> drawn = gate(Mixing::kBest, dtype);
      const Variable x = input(mask, dtype);
      const Choice choice = choice_of_shares({0.1, 0.2, 0.7, 0.4, 0.3, 0.3, 0.3, 0.3, 0.4}, dtype);
      Pass skips, all, trains = Pass::training(1, 1);
      all.set_pairs(AttentionMask::all(4, 4));
      const Variable y = drawn.layer.mix(choice, x, skips);
      EXPECT_TRUE(y.mask() == mask);
      const std::size_t best[] = {2, 0, 2};
      for (std::int64_t b = 0; b < 3; ++b) {
        Pass pass;
        const Tensor expected = kept(drawn.layer.expert(best[b])(x, pass))[b];
        EXPECT_TRUE(same_bits(kept(y)[b], expected)) << b;
        EXPECT_TRUE(same_bits(kept(drawn.layer.mix(choice, x, all))[b], expected)) << b;
        EXPECT_TRUE(is_close(kept(drawn.layer.mix(choice, x, trains))[b], to_doubles(expected)));
      }
    }
  }
}

TEST(ExpertMixture, RunsOnlyTheExpertsThatWereChosen) {
  struct Counting : Layer {
    explicit Counting(std::int64_t* seen) : Layer("Counting", MaskRule::kKeeps), seen_(seen) {}
    Variable forward(const Variable& x, Pass&) override {
      *seen_ += x.dim(0);
      return x;
    }
    std::int64_t* seen_;
  };
  std::int64_t seen[kExperts] = {};
  Experts experts;
  for (std::int64_t& samples : seen) experts.push_back(std::make_unique<Counting>(&samples));
  TaskGate layer(kFeatures, std::move(experts), Mixing::kBest);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const Choice choice = choice_of_shares({0, 0, 1, 0, 0, 1, 1, 0, 0});
  Pass pass;
  const Variable x = input({});
  EXPECT_TRUE(same_bits(layer.mix(choice, x, pass).value(), x.value()));
  EXPECT_THAT(seen, ::testing::ElementsAre(1, 0, 2));
  EXPECT_TRUE(same_bits(layer.mix(choice, x, pass, Mixing::kSoft).value(), x.value()));
  EXPECT_THAT(seen, ::testing::ElementsAre(4, 3, 5));
}

TEST(ExpertMixture, InTrainingGivesTheBestAndTheGradientOfTheShares) {
  Drawn<TaskGate> drawn = gate(Mixing::kBest);
  const Variable x = input({});
  const Variable shares =
      test::leaf(test::make({0.1, 0.2, 0.7, 0.4, 0.3, 0.3, 0.3, 0.3, 0.4}, {3, 3}));
  Random random(8);
  const Tensor g = test::uniform(random, {3, 4, kFeatures});
  Pass pass = Pass::training(1, 1);
  Tape tape;
  tape.backward(drawn.layer.mix(choice_of(shares), x, pass), g);
  // The gradient of share c of sample b is the product of g and what expert c gives for b.
  for (std::size_t c = 0; c < kExperts; ++c) {
    Pass other;
    const NoGrad no_grad;
    const std::vector<double> part = to_doubles(drawn.layer.expert(c)(x, other).value());
    for (std::size_t b = 0; b < 3; ++b) {
      const std::size_t size = 4 * kFeatures;
      const auto from = part.begin() + static_cast<std::ptrdiff_t>(b * size);
      const std::vector<double> of_output = to_doubles(g[static_cast<std::int64_t>(b)]);
      const double expected = std::inner_product(of_output.begin(), of_output.end(), from, 0.0);
      EXPECT_NEAR(to_doubles(shares.grad())[b * kExperts + c], expected, 1e-12);
    }
  }
  // Of an expert that serves nobody, no gradient arrives.
  EXPECT_THAT(
      to_doubles(drawn.parameters.named_pieces(drawn.parameters.gradients()).at("expert1.v")),
      ::testing::Each(0));
}

TEST(ExpertMixture, GivesNaNWhereAShareIsNaN) {
  const Variable x = input({});
  const Choice choice =
      choice_of_shares({0.1, 0.2, 0.7, test::kNaN, test::kNaN, test::kNaN, 1, 0, test::kNaN});
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    Drawn<TaskGate> drawn = gate(mixing);
    Pass skips, all, trains = Pass::training(1, 1);
    all.set_pairs(AttentionMask::all(4, 4));
    for (Pass* const pass : {&skips, &all, &trains}) {
      const Tensor y = drawn.layer.mix(choice, x, *pass).value();
      for (const double number : to_doubles(y[0])) EXPECT_TRUE(std::isfinite(number));
      for (const double number : to_doubles(y[1])) EXPECT_TRUE(std::isnan(number));
      for (const double number : to_doubles(y[2])) EXPECT_TRUE(std::isnan(number));
    }
  }
}

TEST(ExpertMixture, PassesNaNOnFromASampleThatExists) {
  const SequenceMask mask = some_mask();
  Tensor values = input(mask).value().clone();
  values.data<double>()[0] = test::kNaN;
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    Drawn<TaskGate> drawn = gate(mixing);
    Pass pass;
    const Variable x(values, Variable::kConstant, mask);
    const Choice choice = drawn.layer.choose(x, pass);
    EXPECT_EQ(choice.best.data<std::int64_t>()[1], -1);
    EXPECT_GE(choice.best.data<std::int64_t>()[0], 0);
    EXPECT_TRUE(std::isnan(to_doubles(mutual_information(choice).value())[0]));
    EXPECT_TRUE(std::isnan(to_doubles(drawn.layer.mix(choice, x, pass).value())[0]));
  }
}

// A model that calls its gate as a layer, or in two steps.
struct Model : Layer {
  explicit Model(bool in_steps)
      : Layer("Model", OfLayers{}),
        in_steps_(in_steps),
        gate_(submodule("gate", std::make_unique<TaskGate>(kFeatures, experts(), Mixing::kSoft,
                                                           std::make_unique<Dropout>(0.5)))) {}
  static Experts experts() {
    Experts made;
    for (int c = 0; c < kExperts; ++c) made.push_back(std::make_unique<Dropout>(0.5));
    return made;
  }
  Variable forward(const Variable& x, Pass& pass) override {
    return in_steps_ ? gate_.mix(gate_.choose(x, pass), x, pass) : gate_(x, pass);
  }
  bool in_steps_;
  TaskGate& gate_;
};

TEST(ExpertMixture, DrawsTheSameInACallAndInTwoSteps) {
  Drawn<Model> whole(DType::kFloat64, false), in_steps(DType::kFloat64, true);
  const Variable x = input({});
  for (const std::uint64_t step : {1u, 2u}) {
    Pass a = Pass::training(3, step), b = Pass::training(3, step);
    EXPECT_TRUE(same_bits(whole.layer(x, a).value(), in_steps.layer(x, b).value()));
  }
}

TEST(ExpertMixture, GivesZeroToASampleWithoutAChoice) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    Experts experts;
    for (int c = 0; c < kExperts; ++c) experts.push_back(std::make_unique<GlobalPool>());
    TaskGate layer(kFeatures, std::move(experts), mixing);
    const ParameterBuffer parameters(layer, DType::kFloat64, 1);
    Pass pass;
    const Variable x = input({});
    const Choice choice = choice_of_shares({0, 0, 0, 0, 0, 1, 0, 0, 0});
    const Tensor y = layer.mix(choice, x, pass).value();
    EXPECT_EQ(y.shape(), (Shape{3, kFeatures}));
    EXPECT_THAT(to_doubles(y[0]), ::testing::Each(0));
    EXPECT_TRUE(is_close(y[1], to_doubles(GlobalPool()(x).value()[1])));
    EXPECT_THAT(to_doubles(y[2]), ::testing::Each(0));
  }
}

TEST(ExpertMixture, LetsTheGateAndTheExpertsReadDifferentValues) {
  Drawn<TaskGate> drawn = gate();
  Random random(9);
  const Variable read = input(some_mask());
  const Variable v(test::uniform(random, {3, 7, kFeatures}));
  Pass pass;
  const Choice choice = drawn.layer.choose(read, pass);
  const Variable y = drawn.layer.mix(choice, v, pass);
  EXPECT_EQ(y.shape(), v.shape());
  EXPECT_FALSE(y.mask().defined());
  EXPECT_THAT(choice.best.values<std::int64_t>(), ::testing::Contains(-1));
  EXPECT_THAT(to_doubles(y.value()[1]), ::testing::Each(0));
}

TEST(ExpertMixture, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { TaskGate(3, {}); }), "[TaskGate] needs an expert");
  EXPECT_EQ(error_of([] { TaskGate(0, test::dense_experts(3)); }),
            "[TaskGate] needs features above 0, got 0");
  EXPECT_EQ(error_of([] { TaskQuery(4, 3, test::dense_experts(4)); }),
            "[MultiHeadAttention] 3 heads do not divide 4 features");
  Experts none;
  none.push_back(nullptr);
  EXPECT_EQ(error_of([&] { TaskGate(3, std::move(none)); }), "[module] 'expert0' is no module");
  Drawn<TaskGate> drawn = gate();
  Pass pass, row = Pass().on_row(ops::packing_of(some_mask()));
  const Variable x = input({});
  EXPECT_EQ(error_of([&] { drawn.layer.expert(3); }), "[TaskGate] has no expert 3, only 3");
  EXPECT_EQ(error_of([&] { drawn.layer.choose(Variable(), pass); }),
            "[TaskGate] its input was used before it was given a value");
  EXPECT_EQ(error_of([&] {
              drawn.layer.choose(Variable(Tensor::zeros({2, 4}, DType::kFloat64)), pass);
            }),
            "[TaskGate] needs [B, S, 6], got (2, 4)");
  for (const double temperature : {0.0, -1.0, 1e-310, test::kNaN}) {
    EXPECT_THAT(error_of([&] { drawn.layer.choose(x, pass, temperature); }),
                ::testing::StartsWith("[TaskGate] needs a temperature above 0, got "));
  }
  EXPECT_EQ(error_of([&] { drawn.layer.choose(x, row); }),
            "[TaskGate] reads whole sequences, which a packed row has not");
  EXPECT_EQ(error_of([&] {
              drawn.layer.mix(choice_of_shares({1, 0, 0}), x, pass);
            }),
            "[TaskGate] shares (1, 3) do not fit 3 experts and (3, 4, 6)");
  for (const std::int64_t best : {-2, 3}) {
    const Choice choice = {choice_of_shares({1, 0, 0, 1, 0, 0, 1, 0, 0}).shares,
                           Tensor::full({3}, best, DType::kInt64)};
    EXPECT_EQ(error_of([&] { drawn.layer.mix(choice, x, pass); }),
              fmt::format("[TaskGate] a best of {} is none of 3 candidates", best));
  }
  const Choice halves = {choice_of_shares({1, 0, 0, 1, 0, 0, 1, 0, 0}).shares,
                         Tensor::zeros({3}, DType::kFloat64)};
  EXPECT_EQ(error_of([&] { drawn.layer.mix(halves, x, pass); }),
            "[TaskGate] the best of a choice are int64, not float64");
  EXPECT_EQ(error_of([&] { drawn.layer.mix({}, x, pass); }),
            "[TaskGate] an input was used before it was given a value");
  Experts different = test::dense_experts(kFeatures, 1);
  different.push_back(std::make_unique<Dense>(kFeatures, 2));
  TaskGate uneven(kFeatures, std::move(different));
  const ParameterBuffer parameters(uneven, DType::kFloat64, 1);
  EXPECT_EQ(error_of([&] { uneven(x); }),
            "[TaskGate] expert 1 gives (3, 4, 2), and expert 0 (3, 4, 6)");
  struct Sum : Layer {
    Sum() : Layer("Sum", MaskRule::kEnds) {}
    Variable forward(const Variable& v, Pass&) override { return ops::sum(v); }
  };
  Experts numbers;
  numbers.push_back(std::make_unique<Sum>());
  TaskGate sums(kFeatures, std::move(numbers));
  const ParameterBuffer of_sums(sums, DType::kFloat64, 1);
  EXPECT_EQ(error_of([&] { sums(x); }), "[TaskGate] expert 0 gives a number, not [B, ...]");
}

}  // namespace
}  // namespace maskgrad
