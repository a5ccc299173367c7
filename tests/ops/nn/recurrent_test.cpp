#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/tensor/check/gradients.hpp>

#include "ops/nn/recurrent_steps.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::masks;
using test::Recurrent;
using test::RecurrentBatch;
using test::run_fused;
using test::same_bits;
using test::to_doubles;

// Those of recurrent_mask_test.cpp too.
INSTANTIATE_TEST_SUITE_P(Cell, Recurrent, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Lstm" : "Gru"; });

TEST_P(Recurrent, IsThatOfPlainOperationsStepByStep) {
  for (const SequenceMask& mask : masks()) {
    for (const bool reverse : {false, true}) {
      Random random(1);
      const RecurrentBatch x(random, width(), 3, 4, mask);
      const test::RecurrentBothWays made = run_fused(is_lstm(), x, reverse, leaves(x));
      EXPECT_EQ(made.outputs[0].mask(), mask);
      Random again(1);
      const RecurrentBatch y(again, width(), 3, 4, {});
      Tape tape;
      const auto outputs = test::composed(is_lstm(), y, test::all_of(mask, {3, 4}), reverse).all;
      const auto expected = test::gradients(tape, outputs, test::weights_for(outputs), leaves(y));
      for (std::size_t k = 0; k < outputs.size(); ++k) {
        EXPECT_TRUE(test::is_close(made.outputs[k].value(), to_doubles(outputs[k].value()), 1e-13));
      }
      for (std::size_t k = 0; k < expected.size(); ++k) {
        EXPECT_TRUE(test::is_close(made.gradients[k], to_doubles(expected[k]), 1e-12)) << k;
      }
    }
  }
}

TEST_P(Recurrent, TakesMoreSequencesThanOnePartHas) {
  Random random(2);
  const std::int64_t batch = 70, length = 6;
  const SequenceMask mask(test::random_bits(random, {batch, length}));
  const RecurrentBatch x(random, width(), batch, length, mask);
  const test::RecurrentBothWays made = run_fused(is_lstm(), x, false, leaves(x));
  RecurrentBatch y = x;
  y.gates = leaf(x.gates.value());
  Tape tape;
  const auto outputs = test::composed(is_lstm(), y, mask.bits(), false).all;
  const auto expected = test::gradients(tape, outputs, test::weights_for(outputs), leaves(y));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    EXPECT_TRUE(test::is_close(made.gradients[k], to_doubles(expected[k]), 1e-12)) << k;
  }
  for (const int threads : {2, 3}) {
    const test::WithThreads several(threads);
    test::expect_same(run_fused(is_lstm(), x, false, leaves(x)), made);
  }
}

TEST_P(Recurrent, BeginsWithZerosWhereNoStateIsGiven) {
  Random random(8);
  RecurrentBatch x(random, width(), 3, 4, masks()[1]), none = x;
  x.h = x.c = Variable(Tensor::zeros({3, kHidden}, DType::kFloat64));
  none.h = none.c = Variable();
  const std::vector<Variable> all = {x.gates, x.w_h};
  test::expect_same(run_fused(is_lstm(), none, false, all), run_fused(is_lstm(), x, false, all));
}

TEST_P(Recurrent, SaturatesAtExtremes) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double huge : {1e4, 1e30, test::kInf}) {
      Random random(12);
      RecurrentBatch x(random, width(), 2, 3, {}, dtype);
      for (const double gate : {huge, -huge}) {
        x.gates = leaf(Tensor::full(x.gates.shape(), gate, dtype));
        const test::RecurrentBothWays made = run_fused(is_lstm(), x, false, leaves(x));
        for (const Variable& y : made.outputs) {
          for (const double value : to_doubles(y.value())) EXPECT_LE(std::abs(value), 4.0);
        }
        for (const Tensor& gradient : made.gradients) {
          for (const double value : to_doubles(gradient)) EXPECT_TRUE(std::isfinite(value));
        }
        // Open gates: c grows by 1 a step, and a GRU keeps h. Closed ones: nothing is left, and a
        // GRU takes the candidate.
        const bool is_open = gate > 0;
        const double h = to_doubles(x.h.value())[0], c = to_doubles(x.c.value())[0];
        const double expected = is_lstm() ? (is_open ? std::tanh(c + 3) : 0) : (is_open ? h : -1);
        EXPECT_NEAR(to_doubles(made.outputs[1].value())[0], expected, 1e-6);
      }
    }
  }
}

TEST_P(Recurrent, TakesShapesWithoutElements) {
  for (const Shape& positions : {Shape{0, 3}, Shape{2, 0}, Shape{0, 0}}) {
    Random random(13);
    const RecurrentBatch x(random, width(), positions[0], positions[1], {});
    const test::RecurrentBothWays made = run_fused(is_lstm(), x, false, leaves(x));
    EXPECT_EQ(made.outputs[0].shape(), positions.concat({kHidden}));
    EXPECT_TRUE(same_bits(made.outputs[1].value(), x.h.value()));
    EXPECT_THAT(to_doubles(made.gradients[1]), ::testing::Each(0));
  }
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat32));
  };
  EXPECT_EQ(ops::lstm(zeros({2, 3, 0}), zeros({0, 0})).output.shape(), Shape({2, 3, 0}));
  EXPECT_EQ(ops::gru(zeros({2, 3, 0}), zeros({0, 0}), zeros({0})).last.shape(), Shape({2, 0}));
}

TEST_P(Recurrent, HasTheGradientsOfDifferences) {
  Random random(14);
  const RecurrentBatch x(random, width(), 3, 4, masks()[2]);
  std::vector<NamedLeaf> named;
  for (const Variable& leaf : leaves(x)) named.push_back({"leaf", leaf});
  for (std::size_t k = 0; k < (is_lstm() ? 3u : 2u); ++k) {
    const GradientReport report =
        check_gradients([&] { return test::fused(is_lstm(), x, true).all[k]; }, named);
    EXPECT_TRUE(report.holds()) << report.worst;
  }
}

Variable zeros(const Shape& shape, DType dtype = DType::kFloat64, SequenceMask mask = {}) {
  return Variable(Tensor::zeros(shape, dtype), Variable::kConstant, std::move(mask));
}

TEST(Lstm, RefusesWhatDoesNotFit) {
  const Variable gates = zeros({2, 3, 8}), w = zeros({2, 8}), state = zeros({2, 2});
  EXPECT_EQ(error_of([&] {
              ops::lstm(gates, zeros({2, 6}));
            }),
            "[lstm] needs w_h [H, 4 H], got (2, 6)");
  EXPECT_EQ(error_of([&] {
              ops::lstm(zeros({2, 3, 6}), w);
            }),
            "[lstm] needs gates [B, S, 8], got (2, 3, 6)");
  EXPECT_EQ(error_of([&] {
              ops::lstm(zeros({3, 8}), w);
            }),
            "[lstm] needs gates [B, S, 8], got (3, 8)");
  EXPECT_EQ(error_of([&] {
              ops::lstm(gates, zeros({2, 8}, DType::kFloat32));
            }),
            "[lstm] the gates are float64, w_h is float32: they must be the same");
  EXPECT_EQ(error_of([&] {
              ops::lstm(gates, w, {state, {}});
            }),
            "[lstm] needs both h and c, or neither");
  EXPECT_EQ(error_of([&] {
              ops::lstm(gates, w, {{}, state});
            }),
            "[lstm] needs both h and c, or neither");
  EXPECT_EQ(error_of([&] {
              ops::lstm(gates, w, {state, zeros({3, 2})});
            }),
            "[lstm] needs c (2, 2), got (3, 2)");
  EXPECT_EQ(error_of([&] {
              ops::lstm(
                  gates, w,
                  {zeros({2, 2}, DType::kFloat64, test::mask_of({1, 1, 1, 0}, {2, 2})), state});
            }),
            "[lstm] h takes no mask; drop_mask() it on purpose");
  EXPECT_EQ(error_of([&] { ops::lstm(Variable(), w); }),
            "[lstm] input 'gates' was used before it was given a value");
}

TEST(Lstm, RefusesSegmentsThatAreNoneOfItsSequences) {
  const Variable row = zeros({1, 3, 8}), w = zeros({2, 8});
  const auto said = [&](const Variable& gates, const Tensor& segments, std::int64_t sequences) {
    return error_of(
        [&] { ops::lstm(gates, w, {}, {.segments = segments, .sequences = sequences}); });
  };
  const Tensor segments = Tensor::from<std::int64_t>({0, 0, 1}, {1, 3});
  EXPECT_EQ(said(row, segments, 2), "no error");
  EXPECT_EQ(said(row, segments, 1), "[lstm] segment 1 is none of 1 sequences");
  EXPECT_EQ(said(row, segments, -1), "[lstm] there are no -1 sequences");
  EXPECT_EQ(said(row, segments.reshape({3}), 2),
            "[lstm] segments int64 (3,) do not fit gates (1, 3, 8): a packed row needs int64 [1, "
            "K]");
  EXPECT_EQ(said(zeros({1, 3, 8}, DType::kFloat64, test::mask_of({1, 1, 0}, {1, 3})), segments, 2),
            "[lstm] all of a packed row exists, but it carries a mask");
}

TEST(Gru, RefusesWhatDoesNotFit) {
  const Variable gates = zeros({2, 3, 6}), w = zeros({2, 6});
  EXPECT_EQ(error_of([&] { ops::gru(gates, w, zeros({4})); }), "[gru] needs b_h (6,), got (4,)");
  EXPECT_EQ(error_of([&] {
              ops::gru(gates, w, zeros({6}), zeros({2, 3}));
            }),
            "[gru] needs h (2, 2), got (2, 3)");
  EXPECT_EQ(error_of([&] { ops::gru(gates, w, Variable()); }),
            "[gru] input 'b_h' was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
