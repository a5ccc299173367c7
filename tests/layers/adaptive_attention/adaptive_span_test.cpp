#include <maskgrad/layers/adaptive_attention/adaptive_span.hpp>
#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/adaptive_attention/attention_support.hpp"
#include "layers/generate/read_in_chunks.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::is_close;
using test::kept;
using test::Matrix;
using test::same_bits;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kFeatures = 8, kHeads = 2, kHead = kFeatures / kHeads;

// Spans that stand on no corner of m, at distances within these sequences.
bool add_sample(const char* name, const AdaptiveSpanOptions& options) {
  return register_layer(
      {name,
       [=] { return std::make_unique<AdaptiveSpan>(LayerSample::kFeatures, 5, 4, options); }});
}
const bool kRegistered =
    add_sample("AdaptiveSpan", {.ramp = 2.0, .start = 0.1}) &&
    add_sample("CausalAdaptiveSpan",
               {.attention = {.key_heads = 1, .kind = AttentionKind::kCausal, .bias = false},
                .ramp = 2.5,
                .start = 0.3}) &&
    add_sample("WideAdaptiveSpan", {.start = 0.3});

double soft_window(double ramp, double span, double distance) {
  return std::min(std::max((ramp + span - distance) / ramp, 0.0), 1.0);
}

std::vector<double> spans_of(const Drawn<AdaptiveSpan>& drawn, std::int64_t most) {
  std::vector<double> spans;
  for (const double v : to_doubles(drawn.value("span"))) {
    spans.push_back(static_cast<double>(most) * test::logistic(v));
  }
  return spans;
}

// What the layer gives for sample b, at the positions that exist.
Matrix naive(const Drawn<AdaptiveSpan>& drawn, const Variable& x, std::int64_t b, double ramp,
             const std::vector<double>& spans, bool causal) {
  const Matrix rows = test::rows_that_exist(x, b);
  const auto projected = [&](const Matrix& in, const std::string& name) {
    return test::affine(in, drawn.parameters, name, name + "_bias");
  };
  const Matrix q = projected(rows, "q"), k = projected(rows, "k"), v = projected(rows, "v");
  std::vector<Matrix> heads;
  for (std::size_t h = 0; h < kHeads; ++h) {
    const auto part = [&](const Matrix& m) { return test::columns(m, h * kHead, kHead); };
    const auto share = [&](std::size_t i, std::size_t j) {
      const double apart = std::abs(static_cast<double>(i) - static_cast<double>(j));
      return causal && j > i ? 0 : soft_window(ramp, spans[h], apart);
    };
    heads.push_back(test::attend(part(q), part(k), part(v), share));
  }
  return projected(test::side_by_side(heads), "o");
}

TEST(AdaptiveSpan, WeighsPairsByTheirDistanceAndNormalisesAgain) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool causal : {false, true}) {
      for (const double ramp : {1.0, 2.5, 40.0}) {
        for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
          AdaptiveSpanOptions options = {.ramp = ramp};
          if (causal) options.attention.kind = AttentionKind::kCausal;
          Drawn<AdaptiveSpan> drawn(dtype, kFeatures, kHeads, 3, options);
          const Variable x = test::attention_input(kFeatures, mask, dtype);
          const Matrix y = test::rows(drawn.layer(x).value());
          const std::vector<double> spans = spans_of(drawn, 3);
          for (std::int64_t b = 0; b < 3; ++b) {
            const Matrix expected = naive(drawn, x, b, ramp, spans, causal);
            const auto numbers = test::numbers_of(mask, b, 5);
            for (std::size_t s = 0; s < 5; ++s) {
              if (numbers[s] < 0) continue;
              const auto& row = y[static_cast<std::size_t>(b) * 5 + s];
              EXPECT_TRUE(is_close(test::make(row, {kFeatures}),
                                   expected[static_cast<std::size_t>(numbers[s])],
                                   16 * test::tolerance(dtype)))
                  << b << " " << s;
            }
          }
        }
      }
    }
  }
}

TEST(AdaptiveSpan, SendsRightGradientsToItsSpansAndThePenalty) {
  for (const AttentionKind kind : {AttentionKind::kBidirectional, AttentionKind::kCausal}) {
    Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 4,
                              AdaptiveSpanOptions{.attention = {.kind = kind}, .ramp = 1.7});
    const SequenceMask mask = test::attention_mask();
    const Variable x(test::attention_input(kFeatures, mask).value(), Variable::kRequiresGrad, mask);
    std::vector<NamedLeaf> leaves = drawn.parameters.leaves();
    leaves.push_back({"x", x});
    const auto loss = [&] {
      const Variable y = ops::fill_masked(drawn.layer(x));
      return ops::add(ops::sum(ops::multiply(y, y)), drawn.layer.penalty());
    };
    EXPECT_TRUE(test::gradients_agree(loss, leaves));
  }
}

TEST(AdaptiveSpan, SkipsWhatIsFurtherThanSpanAndRamp) {
  AdaptiveSpan layer(4, 2, 10, {.ramp = 3, .start = 0.25});
  const ParameterBuffer parameters(layer, DType::kFloat32, 1);
  Random random(3);
  Tensor x = uniform(random, {1, 200, 4}).to(DType::kFloat32);
  const Tensor before = layer(Variable(x.clone())).value().clone();
  for (std::int64_t i = 100 * 4; i < 200 * 4; ++i) x.data<float>()[i] = NAN;
  const Tensor after = layer(Variable(x)).value();
  // z = 2.5, so a weight at a distance of 5 is above 0, and none at 6.
  EXPECT_TRUE(same_bits(after.view(0, {95, 4}), before.view(0, {95, 4})));
  EXPECT_TRUE(std::isnan(after.data<float>()[95 * 4]));
}

TEST(AdaptiveSpan, KeepsKeysInPartWithinItsSpans) {
  Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 3,
                            AdaptiveSpanOptions{.ramp = 1.5});
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  const Variable all(Tensor::full({3, 5}, 1, DType::kFloat64));
  Pass pass;
  EXPECT_TRUE(is_close(kept(drawn.layer.attend_kept(x, all, pass)),
                       to_doubles(kept(drawn.layer(x))), 1e-12));
  Random random(6);
  const Variable keep = test::leaf(test::uniform(random, {3, 5}, 0.1, 1));
  std::vector<NamedLeaf> leaves = drawn.parameters.leaves();
  leaves.push_back({"keep", keep});
  const auto loss = [&] {
    Pass own;
    const Variable y = ops::fill_masked(drawn.layer.attend_kept(x, keep, own));
    return ops::sum(ops::multiply(y, y));
  };
  EXPECT_TRUE(test::gradients_agree(loss, leaves));
}

TEST(AdaptiveSpan, HardensToWindowsOfHalfTheRampMore) {
  Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 10,
                            AdaptiveSpanOptions{.ramp = 3.0});
  Tensor(drawn.value("span")).copy_from(test::make({-1000, std::log(0.35 / 0.65)}, {2}));
  const Hardened hard = drawn.layer.harden().value();
  // Spans of 0 and 3.5, and half of a ramp of 3.
  EXPECT_EQ(dynamic_cast<WindowAttention&>(*hard.layer).windows(),
            (std::vector<std::int64_t>{1, 5}));
  EXPECT_EQ(hard.says, "looks at most 1, 5 far");
  ParameterBuffer parameters(*hard.layer, DType::kFloat64, 1);
  parameters.load(hard.values);
  Drawn<WindowAttention> same(DType::kFloat64, kFeatures, std::vector<std::int64_t>{1, 5});
  auto values = drawn.parameters.named_values();
  values.erase("span");
  same.parameters.load(values);
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  EXPECT_TRUE(same_bits((*hard.layer)(x).value(), same.layer(x).value()));
}

TEST(AdaptiveSpan, GivesWhatItsHardFormGivesWhereTheRampIsSteep) {
  for (const AttentionKind kind : {AttentionKind::kBidirectional, AttentionKind::kCausal}) {
    Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 3,
                              AdaptiveSpanOptions{.attention = {.kind = kind}, .ramp = 1e-3});
    const Hardened hard = drawn.layer.harden().value();
    ParameterBuffer parameters(*hard.layer, DType::kFloat64, 1);
    parameters.load(hard.values);
    const Variable x = test::attention_input(kFeatures, test::attention_mask());
    EXPECT_TRUE(is_close(kept(drawn.layer(x)), to_doubles(kept((*hard.layer)(x))), 1e-13));
  }
}

TEST(AdaptiveSpan, HasAPenaltyThatIsTheMeanOfItsSpans) {
  AdaptiveSpan layer(4, 2, 10, {.start = 0.25});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Tensor(parameters.named_values().at("span")).copy_from(test::make({0, 1000}, {2}));
  EXPECT_TRUE(is_close(layer.spans().value(), {5, 10}, 1e-15));
  EXPECT_TRUE(is_close(layer.penalty().value(), {7.5}, 1e-15));
}

TEST(AdaptiveSpan, StartsAsItsOptionsSay) {
  AdaptiveSpan layer(4, 2, 10, {.start = 0.25});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  EXPECT_TRUE(is_close(layer.spans().value(), {2.5, 2.5}, 1e-14));
}

TEST(AdaptiveSpan, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  for (const DType dtype : test::kFloatingDTypes) {
    Drawn<AdaptiveSpan> drawn(dtype, kFeatures, kHeads, 3, AdaptiveSpanOptions{.ramp = 1.5});
    test::expect_batch_invariance(drawn.layer, kFeatures, test::attention_mask(), dtype);
  }
}

TEST(AdaptiveSpan, ReadsOnFromACacheAsItReadsTheWholeSequence) {
  Drawn<AdaptiveSpan> drawn(
      DType::kFloat64, kFeatures, kHeads, 9,
      AdaptiveSpanOptions{.attention = {.kind = AttentionKind::kCausal}, .ramp = 4});
  Random random(4);
  const Tensor x = uniform(random, {1, 40, kFeatures});
  const Tensor whole = drawn.layer(Variable(x)).value();
  const Tensor chunks = test::read_in_chunks(x, {1, 30, 2, 1, 6}, drawn.layer);
  EXPECT_TRUE(is_close(chunks, to_doubles(whole), 1e-13));
}

TEST(AdaptiveSpan, GivesNothingOfNothingAndStaysFiniteAtExtremes) {
  const auto make = [] { return std::make_unique<AdaptiveSpan>(kFeatures, kHeads, 3); };
  test::expect_nothing_of_nothing(make, kFeatures);
  test::expect_finite_at_extremes(make, kFeatures);
}

TEST(AdaptiveSpan, HidesNoSpanThatIsNaN) {
  Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 3);
  Tensor(drawn.value("span")).copy_from(test::make({1, test::kNaN}, {2}));
  const Variable y = drawn.layer(test::attention_input(kFeatures, {}));
  for (const double number : to_doubles(y.value())) EXPECT_TRUE(std::isnan(number));
  EXPECT_EQ(error_of([&] { drawn.layer.harden(); }), "[AdaptiveSpan] a span is NaN");
}

TEST(AdaptiveSpan, RefusesWhatItCannotDo) {
  const auto made = [](std::int64_t most, const AdaptiveSpanOptions& options) {
    return error_of([&] { AdaptiveSpan(8, 2, most, options); });
  };
  EXPECT_EQ(made(0, {}), "[AdaptiveSpan] needs spans of 1 to 1073741824, got 0");
  EXPECT_EQ(made(5, {.ramp = 0}),
            "[AdaptiveSpan] needs a ramp above 0 and at most 1073741824, got 0");
  EXPECT_EQ(made(5, {.ramp = 5e-324}),
            "[AdaptiveSpan] needs a ramp above 0 and at most 1073741824, got 5e-324");
  EXPECT_EQ(made(5, {.ramp = test::kNaN}),
            "[AdaptiveSpan] needs a ramp above 0 and at most 1073741824, got nan");
  EXPECT_EQ(made(5, {.start = 1}), "[AdaptiveSpan] needs a start between 0 and 1, got 1");
  EXPECT_EQ(error_of([] { AdaptiveSpan(8, 3, 5); }),
            "[AdaptiveSpan] 3 heads do not divide 8 features");
  Drawn<AdaptiveSpan> drawn(DType::kFloat64, kFeatures, kHeads, 3);
  EXPECT_EQ(test::error_of_attending_elsewhere(drawn.layer, kFeatures),
            "[AdaptiveSpan] does not attend to another sequence: its spans are within one");
}

}  // namespace
}  // namespace maskgrad
