#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/task_gate/mixture_support.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::is_close;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kFeatures = 6;

std::unique_ptr<Layer> reader(std::int64_t features) {
  return std::make_unique<MultiHeadAttention>(features, 1);
}
bool add_sample(const char* name, bool reads) {
  return register_layer({name, [=] {
                           constexpr std::int64_t kWidth = LayerSample::kFeatures;
                           return std::make_unique<TaskGate>(
                               kWidth, test::attention_experts(kWidth), Mixing::kSoft,
                               reads ? reader(kWidth) : nullptr);
                         }});
}
const bool kRegistered = add_sample("TaskGate", false) && add_sample("ReadingTaskGate", true);

// Shares of the means over the positions that exist.
std::vector<double> naive(const Drawn<TaskGate>& drawn, const Variable& x, double temperature) {
  const test::Matrix rows = test::rows(x.value());
  std::vector<double> all;
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    const auto numbers = test::numbers_of(x.mask(), b, x.dim(1));
    std::vector<double> mean(kFeatures);
    double count = 0;
    for (std::size_t s = 0; s < numbers.size(); ++s) {
      if (numbers[s] < 0) continue;
      ++count;
      for (std::size_t d = 0; d < kFeatures; ++d) {
        mean[d] += rows[static_cast<std::size_t>(b) * numbers.size() + s][d];
      }
    }
    for (double& m : mean) m /= std::max(count, 1.0) * temperature;
    const test::Matrix logits = test::product({mean}, test::matrix_of(drawn.value("gate.w")));
    double total = 0;
    for (const double logit : logits[0]) total += std::exp(logit);
    for (const double logit : logits[0]) all.push_back(count > 0 ? std::exp(logit) / total : 0);
  }
  return all;
}

TEST(TaskGate, SharesByTheMeanOfThePositionsThatExist) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
      Drawn<TaskGate> drawn(dtype, kFeatures, test::dense_experts(kFeatures));
      const Variable x = test::attention_input(kFeatures, mask, dtype);
      for (const double temperature : {1.0, 0.25, 2.0}) {
        Pass pass;
        const Choice choice = drawn.layer.choose(x, pass, temperature);
        EXPECT_TRUE(is_close(choice.shares.value(), naive(drawn, x, temperature),
                             8 * test::tolerance(dtype)));
        EXPECT_EQ(choice.best.data<std::int64_t>()[2] == -1, mask.defined());
      }
    }
  }
}

TEST(TaskGate, SendsRightGradients) {
  test::expect_gradients(
      [] {
        return std::make_unique<TaskGate>(kFeatures, test::dense_experts(kFeatures), Mixing::kSoft,
                                          reader(kFeatures));
      },
      kFeatures);
}

TEST(TaskGate, TellsAnOrderFromAnotherByAttentionOnly) {
  Random random(3);
  const Tensor x = test::uniform(random, {1, 3, kFeatures});
  Tensor swapped = x.clone();
  swapped[0][0].copy_from(x[0][1]);
  swapped[0][1].copy_from(x[0][0]);
  MultiHeadAttentionOptions causal;
  causal.kind = AttentionKind::kCausal;
  const auto differ = [&](std::unique_ptr<Layer> of) {
    Drawn<TaskGate> drawn(DType::kFloat64, kFeatures, test::dense_experts(kFeatures), Mixing::kSoft,
                          std::move(of));
    Pass a, b;
    const std::vector<double> one = to_doubles(drawn.layer.choose(Variable(x), a).shares.value());
    return !is_close(drawn.layer.choose(Variable(swapped), b).shares.value(), one);
  };
  EXPECT_FALSE(differ(nullptr));
  EXPECT_TRUE(differ(std::make_unique<MultiHeadAttention>(kFeatures, 1, causal)));
}

TEST(TaskGate, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    Drawn<TaskGate> drawn(DType::kFloat32, kFeatures, test::attention_experts(kFeatures), mixing);
    test::expect_batch_invariance(drawn.layer, kFeatures, test::padded_behind(), DType::kFloat32);
  }
}

TEST(TaskGate, GivesNothingOfNothingAndStaysFiniteAtExtremes) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    const auto make = [&] {
      return std::make_unique<TaskGate>(kFeatures, test::dense_experts(kFeatures), mixing);
    };
    test::expect_nothing_of_nothing(make, kFeatures);
    test::expect_finite_at_extremes(make, kFeatures);
  }
}

TEST(TaskGate, RefusesAReaderThatMakesSomethingElse) {
  TaskGate layer(kFeatures, test::dense_experts(kFeatures), Mixing::kSoft,
                 std::make_unique<Dense>(kFeatures, 2));
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  EXPECT_EQ(error_of([&] { layer(test::attention_input(kFeatures, {})); }),
            "[TaskGate] the reader makes (3, 5, 2) of (3, 5, 6)");
}

}  // namespace
}  // namespace maskgrad
