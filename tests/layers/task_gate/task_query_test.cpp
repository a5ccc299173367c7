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
using test::Matrix;
using test::to_doubles;

constexpr std::int64_t kFeatures = 6, kHeads = 2;
constexpr std::size_t kHead = kFeatures / kHeads;

const bool kRegistered = register_layer({"TaskQuery", [] {
                                           constexpr std::int64_t kWidth = LayerSample::kFeatures;
                                           return std::make_unique<TaskQuery>(
                                               kWidth, 1, test::attention_experts(kWidth));
                                         }});

// What the queries find in the positions of one sequence that exist, [C, D].
Matrix found(const Drawn<TaskQuery>& drawn, const Variable& x, std::int64_t b) {
  const Matrix rows = test::rows_that_exist(x, b);
  const auto projected = [&](const Matrix& in, const std::string& name) {
    return test::affine(in, drawn.parameters, "attention." + name, "attention." + name + "_bias");
  };
  const Matrix q = projected(test::matrix_of(drawn.value("query")), "q"), k = projected(rows, "k"),
               v = projected(rows, "v");
  std::vector<Matrix> heads;
  for (std::size_t h = 0; h < kHeads; ++h) {
    const auto part = [&](const Matrix& m) { return test::columns(m, h * kHead, kHead); };
    heads.push_back(
        test::attend(part(q), part(k), part(v), [](std::size_t, std::size_t) { return 1; }));
  }
  return test::side_by_side(heads);
}

TEST(TaskQuery, SharesByWhatItsQueriesFind) {
  constexpr double kTemperature = 0.5;
  for (const DType dtype : test::kFloatingDTypes) {
    for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
      Drawn<TaskQuery> drawn(dtype, kFeatures, kHeads, test::dense_experts(kFeatures));
      const Variable x = test::attention_input(kFeatures, mask, dtype);
      Pass pass;
      const Tensor pooled = drawn.layer.found(x, pass).value();
      const Choice choice = drawn.layer.choose(x, pass, kTemperature);
      const Matrix w = test::matrix_of(drawn.value("score"));
      for (std::int64_t b = 0; b < (mask.defined() ? 2 : 3); ++b) {
        const Matrix expected = found(drawn, x, b);
        EXPECT_TRUE(is_close(pooled[b], test::flat(expected), 8 * test::tolerance(dtype)));
        std::vector<double> shares;
        double total = 0;
        for (std::size_t c = 0; c < 3; ++c) {
          double score = 0;
          for (std::size_t d = 0; d < kFeatures; ++d) score += expected[c][d] * w[c][d];
          shares.push_back(std::exp(score / kTemperature));
          total += shares.back();
        }
        for (double& share : shares) share /= total;
        EXPECT_TRUE(is_close(choice.shares.value()[b], shares, 16 * test::tolerance(dtype)));
      }
      if (!mask.defined()) continue;
      EXPECT_THAT(to_doubles(choice.shares.value()[2]), ::testing::Each(0));
      EXPECT_EQ(choice.best.data<std::int64_t>()[2], -1);
    }
  }
}

TEST(TaskQuery, SendsRightGradients) {
  test::expect_gradients(
      [] { return std::make_unique<TaskQuery>(kFeatures, kHeads, test::dense_experts(kFeatures)); },
      kFeatures);
}

TEST(TaskQuery, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    Drawn<TaskQuery> drawn(DType::kFloat32, kFeatures, kHeads, test::attention_experts(kFeatures),
                           mixing);
    test::expect_batch_invariance(drawn.layer, kFeatures, test::padded_behind(), DType::kFloat32);
  }
}

TEST(TaskQuery, GivesNothingOfNothingAndStaysFiniteAtExtremes) {
  for (const Mixing mixing : {Mixing::kSoft, Mixing::kBest}) {
    const auto make = [&] {
      return std::make_unique<TaskQuery>(kFeatures, kHeads, test::dense_experts(kFeatures), mixing);
    };
    test::expect_nothing_of_nothing(make, kFeatures);
    test::expect_finite_at_extremes(make, kFeatures);
  }
}

TEST(TaskQuery, RefusesOtherDimensions) {
  Drawn<TaskQuery> drawn(DType::kFloat64, kFeatures, kHeads, test::dense_experts(kFeatures));
  Pass pass;
  const Variable x(Tensor::zeros({2, 4, 5}, DType::kFloat64));
  EXPECT_EQ(error_of([&] { drawn.layer.found(x, pass); }),
            "[TaskQuery] needs [B, S, 6], got (2, 4, 5)");
  EXPECT_EQ(error_of([&] { drawn.layer(x); }), "[TaskQuery] needs [B, S, 6], got (2, 4, 5)");
}

}  // namespace
}  // namespace maskgrad
