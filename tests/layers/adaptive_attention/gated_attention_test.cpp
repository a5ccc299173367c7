#include <maskgrad/layers/adaptive_attention/gated_attention.hpp>
#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/adaptive_attention/attention_support.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::is_close;
using test::kept;
using test::Matrix;
using test::same_bits;
using test::to_doubles;

using Options = GatedAttentionOptions;
constexpr std::int64_t kFeatures = 8, kHeads = 4;
constexpr std::size_t kHead = kFeatures / kHeads;

bool add_sample(const char* name, const Options& options) {
  return register_layer(
      {name, [=] { return std::make_unique<GatedAttention>(LayerSample::kFeatures, 5, options); }});
}
const bool kRegistered =
    add_sample("GatedAttention", {.bias = 0.5}) &&
    add_sample("GatedAttentionOfElements", {.attention = {.kind = AttentionKind::kCausal},
                                            .gates = AttentionGates::kElements}) &&
    add_sample("GatedHeads", {.attention = {.key_heads = 1, .bias = false},
                              .gates = AttentionGates::kNone,
                              .head_gates = HeadGates::kSoft}) &&
    add_sample("PrunedHeads", {.attention = {.head_features = 3}});

std::vector<Options> some_options() {
  return {{},
          {.gates = AttentionGates::kElements, .head_gates = HeadGates::kSoft},
          {.attention = {.key_heads = 2, .bias = false}, .head_gates = HeadGates::kHard},
          {.attention = {.kind = AttentionKind::kCausal, .head_features = 2},
           .gates = AttentionGates::kNone,
           .head_gates = HeadGates::kSoft}};
}

// What the heads give, times the gates, times o.
Matrix naive(const Drawn<GatedAttention>& drawn, const Options& options, const Variable& x) {
  MultiHeadAttentionOptions own = options.attention;
  own.output_matrix = false;
  MultiHeadAttention heads(kFeatures, kHeads, own);
  ParameterBuffer parameters(heads, x.dtype(), 1);
  std::map<std::string, Tensor> values;
  for (const auto& [name, value] : drawn.parameters.named_values()) {
    if (name.starts_with("heads.")) values.emplace(name.substr(6), value);
  }
  parameters.load(values);
  Matrix y = test::rows(heads(x).value());
  const Matrix in = test::rows(x.value());
  for (std::size_t i = 0; i < y.size(); ++i) {
    std::vector<double> gate(kFeatures, 1.0);
    if (options.gates != AttentionGates::kNone) {
      const Matrix g = test::affine({in[i]}, drawn.parameters, "gate", "gate_bias");
      const bool each = options.gates == AttentionGates::kElements;
      for (std::size_t j = 0; j < y[i].size(); ++j) {
        gate[j] = test::logistic(g[0][each ? j : j / kHead]);
      }
    }
    for (std::size_t j = 0; j < y[i].size(); ++j) {
      double of_head = 1;
      if (options.head_gates != HeadGates::kNone) {
        const double logit = to_doubles(drawn.value("head_gates"))[j / kHead];
        of_head = options.head_gates == HeadGates::kSoft ? test::logistic(logit) : logit > 0;
      }
      y[i][j] *= gate[j] * of_head;
    }
  }
  return test::affine(y, drawn.parameters, "o", "o_bias");
}

TEST(GatedAttention, IsAttentionTimesItsGates) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Options& options : some_options()) {
      for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
        Drawn<GatedAttention> drawn(dtype, kFeatures, kHeads, options);
        const Variable x = test::attention_input(kFeatures, mask, dtype);
        const Variable y = drawn.layer(x);
        Variable expected(test::make(test::flat(naive(drawn, options, x)), y.shape()),
                          Variable::kConstant, mask);
        EXPECT_TRUE(y.mask() == mask);
        EXPECT_TRUE(is_close(kept(y), to_doubles(kept(expected)), 16 * test::tolerance(dtype)));
      }
    }
  }
}

TEST(GatedAttention, SendsRightGradients) {
  for (const Options& options : some_options()) {
    test::expect_gradients(
        [&] { return std::make_unique<GatedAttention>(kFeatures, kHeads, options); }, kFeatures,
        0.4);
  }
}

TEST(GatedAttention, TellsHowManyHeadsAreOpen) {
  for (const HeadGates gates : {HeadGates::kSoft, HeadGates::kHard}) {
    GatedAttention layer(kFeatures, kHeads, {.head_gates = gates});
    const ParameterBuffer parameters(layer, DType::kFloat64, 1);
    Tensor(parameters.named_values().at("head_gates")).copy_from(test::make({1, -1, 0, 9}, {4}));
    const bool soft = gates == HeadGates::kSoft;
    const double one = soft ? test::logistic(1) : 1, other = soft ? 1 - one : 0;
    const double half = soft ? 0.5 : 0, nine = soft ? test::logistic(9) : 1;
    EXPECT_TRUE(is_close(layer.head_gates().value(), {one, other, half, nine}, 1e-15));
    EXPECT_TRUE(is_close(layer.open_heads().value(), {one + other + half + nine}, 1e-15));
  }
}

// The loss falls with what the closed head gives, so its gate must open; and the price on open
// heads must close the others.
TEST(GatedAttention, SendsGradientsToHardGatesInTraining) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Options options = {.gates = AttentionGates::kNone, .head_gates = HeadGates::kHard};
    Drawn<GatedAttention> drawn(dtype, kFeatures, kHeads, options);
    const Tensor logits = test::make({0.5, -1, 0, 2}, {4});
    Tensor(drawn.value("head_gates")).copy_from(logits.to(dtype));
    const Variable x = test::attention_input(kFeatures, test::attention_mask(), dtype);
    const auto gradient = [&](bool is_price) {
      drawn.parameters.clear_gradients();
      Tape tape;
      Pass pass = Pass::training(1, 1);
      const Variable y = ops::fill_masked(drawn.layer(x, pass));
      tape.backward(is_price ? drawn.layer.open_heads() : ops::sum(y));
      return to_doubles(
          drawn.parameters.named_pieces(drawn.parameters.gradients()).at("head_gates"));
    };
    // The sum is linear in a gate: its slope is the sum with the gate open, without it closed.
    const auto sum_with = [&](std::int64_t head, double logit) {
      Tensor values = logits.clone();
      values.data<double>()[head] = logit;
      Tensor(drawn.value("head_gates")).copy_from(values.to(dtype));
      Pass pass;
      const double sum = to_doubles(ops::sum(ops::fill_masked(drawn.layer(x, pass))).value())[0];
      Tensor(drawn.value("head_gates")).copy_from(logits.to(dtype));
      return sum;
    };
    const std::vector<double> of_sum = gradient(false), of_price = gradient(true);
    for (std::size_t h = 0; h < kHeads; ++h) {
      const double s = test::logistic(to_doubles(logits)[h]), slope = s * (1 - s);
      const auto head = static_cast<std::int64_t>(h);
      const double gain = sum_with(head, 1) - sum_with(head, -1);
      EXPECT_NEAR(of_sum[h], slope * gain, 100 * test::tolerance(dtype)) << h;
      EXPECT_NEAR(of_price[h], slope, 4 * test::tolerance(dtype)) << h;
    }
  }
}

TEST(GatedAttention, GivesTheSameInTrainingWithHardGates) {
  Drawn<GatedAttention> drawn(DType::kFloat64, kFeatures, kHeads,
                              Options{.head_gates = HeadGates::kHard});
  Tensor(drawn.value("head_gates")).copy_from(test::make({1, -1, 0, 2}, {4}));
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  Pass training = Pass::training(1, 1);
  EXPECT_TRUE(is_close(kept(drawn.layer(x, training)), to_doubles(kept(drawn.layer(x))), 1e-15));
}

TEST(GatedAttention, PrunesToTheHeadsThatAreOpenWithTheSameResult) {
  for (Options options : some_options()) {
    options.head_gates = HeadGates::kHard;
    Drawn<GatedAttention> hard(DType::kFloat64, kFeatures, kHeads, options);
    Tensor(hard.value("head_gates")).copy_from(test::make({0.1, -3, 0, 2}, {4}));
    const Hardened pruned = hard.layer.harden().value();
    EXPECT_EQ(pruned.says, "keeps 2 of 4 heads");
    ParameterBuffer parameters(*pruned.layer, DType::kFloat64, 1);
    parameters.load(pruned.values);
    EXPECT_EQ(parameters.named_values().at("o").shape(), (Shape{4, kFeatures}));
    EXPECT_EQ(parameters.named_values().at("heads.k").shape(), (Shape{kFeatures, 4}));
    EXPECT_LT(parameters.count(), hard.parameters.count());
    EXPECT_LT(pruned.layer->row_work()->per_pair, hard.layer.row_work()->per_pair);
    const Variable x = test::attention_input(kFeatures, test::attention_mask());
    EXPECT_TRUE(is_close(kept((*pruned.layer)(x)), to_doubles(kept(hard.layer(x))), 1e-13));
  }
}

TEST(GatedAttention, PrunesWhatSoftGatesHaveClosed) {
  Drawn<GatedAttention> soft(DType::kFloat32, kFeatures, kHeads,
                             Options{.head_gates = HeadGates::kSoft});
  Tensor(soft.value("head_gates"))
      .copy_from(test::make({-1, 1000, -2, -3}, {4}).to(DType::kFloat32));
  const Hardened pruned = soft.layer.harden().value();
  ParameterBuffer parameters(*pruned.layer, DType::kFloat32, 1);
  parameters.load(pruned.values);
  const auto taken = to_doubles(parameters.named_values().at("heads.v_bias"));
  const auto from = to_doubles(soft.value("heads.v_bias"));
  EXPECT_THAT(taken, ::testing::ElementsAre(from[2], from[3]));
}

TEST(GatedAttention, ReadsNothingOfAClosedHead) {
  Drawn<GatedAttention> drawn(DType::kFloat64, kFeatures, kHeads,
                              Options{.head_gates = HeadGates::kHard});
  Tensor(drawn.value("head_gates")).copy_from(test::make({1, 1, -1, 1}, {4}));
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  const auto run = [&](double poison) {
    Tensor bias = drawn.value("heads.v_bias");
    bias.data<double>()[4] = bias.data<double>()[5] = poison;
    drawn.parameters.clear_gradients();
    Tape tape;
    const Variable y = ops::fill_masked(drawn.layer(x));
    tape.backward(ops::sum(ops::multiply(y, y)));
    const NoGrad no_grad;
    std::vector<double> all = to_doubles(drawn.parameters.gradients());
    all.push_back(to_doubles(ops::sum(y).value())[0]);
    return all;
  };
  EXPECT_EQ(run(1e200), run(0));
}

TEST(GatedAttention, HidesNoGateThatIsNaN) {
  for (const HeadGates gates : {HeadGates::kSoft, HeadGates::kHard}) {
    Drawn<GatedAttention> drawn(DType::kFloat64, kFeatures, kHeads, Options{.head_gates = gates});
    Tensor(drawn.value("head_gates")).copy_from(test::make({1, test::kNaN, -1, 2}, {4}));
    const Variable x = test::attention_input(kFeatures, {});
    for (Pass pass : {Pass(), Pass::training(1, 1)}) {
      for (const double number : to_doubles(drawn.layer(x, pass).value())) {
        EXPECT_TRUE(std::isnan(number));
      }
    }
    EXPECT_EQ(error_of([&] { drawn.layer.harden(); }), "[GatedAttention] a gate is NaN");
  }
}

TEST(GatedAttention, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  for (const DType dtype : test::kFloatingDTypes) {
    Drawn<GatedAttention> drawn(dtype, kFeatures, kHeads, Options{.head_gates = HeadGates::kSoft});
    test::expect_batch_invariance(drawn.layer, kFeatures, test::attention_mask(), dtype);
  }
}

TEST(GatedAttention, StartsAsItsOptionsSay) {
  GatedAttention layer(kFeatures, kHeads,
                       {.bias = 1.5, .head_gates = HeadGates::kSoft, .head_start = -0.5});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  EXPECT_THAT(to_doubles(parameters.named_values().at("gate_bias")), ::testing::Each(1.5));
  EXPECT_THAT(to_doubles(parameters.named_values().at("head_gates")), ::testing::Each(-0.5));
}

TEST(GatedAttention, GivesNothingOfNothingAndStaysFiniteAtExtremes) {
  for (const Options& options : some_options()) {
    const auto make = [&] { return std::make_unique<GatedAttention>(kFeatures, kHeads, options); };
    test::expect_nothing_of_nothing(make, kFeatures);
    test::expect_finite_at_extremes(make, kFeatures);
  }
}

TEST(GatedAttention, RefusesWhatItCannotDo) {
  const auto made = [](const Options& options) {
    return error_of([&] { GatedAttention(kFeatures, 3, options); });
  };
  EXPECT_EQ(made({}), "[MultiHeadAttention] 3 heads do not divide 8 features");
  EXPECT_EQ(made({.attention = {.output_matrix = false}}), "[GatedAttention] has an output matrix");
  EXPECT_EQ(made({.bias = test::kNaN}),
            "[GatedAttention] needs gates that start finite, got nan and 2");
  EXPECT_EQ(made({.head_start = test::kInf}),
            "[GatedAttention] needs gates that start finite, got 0 and inf");
  EXPECT_EQ(made({.attention = {.head_features = -1}}),
            "[MultiHeadAttention] heads need features above 0, got -1");
  GatedAttention plain(kFeatures, kHeads);
  EXPECT_EQ(error_of([&] { plain.head_gates(); }), "[GatedAttention] has no gates on heads");
  EXPECT_FALSE(plain.harden().has_value());
  Drawn<GatedAttention> closed(DType::kFloat64, kFeatures, kHeads,
                               Options{.head_gates = HeadGates::kHard, .head_start = -1});
  Tensor(closed.value("head_gates")).copy_from(test::make({-1, -1, 0, -1}, {4}));
  EXPECT_EQ(error_of([&] { closed.layer.harden(); }), "[GatedAttention] all 4 heads are closed");
  EXPECT_EQ(error_of([&] {
              closed.layer(Variable(Tensor::zeros({2, 8}, DType::kFloat64)));
            }),
            "[GatedAttention] needs [B, S, 8], got (2, 8)");
}

}  // namespace
}  // namespace maskgrad
