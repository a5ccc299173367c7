// What does not exist changes no bit of a recurrent network.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/cpu/pool.hpp>

#include "ops/nn/recurrent_steps.hpp"

namespace maskgrad {
namespace {

using test::masks;
using test::Recurrent;
using test::RecurrentBatch;
using test::run_fused;
using test::same_bits;
using test::to_doubles;

TEST_P(Recurrent, IsWhatReversedSequencesGiveReversed) {
  Random random(3);
  const std::int64_t sizes[] = {4, 2, 0};
  const RecurrentBatch x(random, width(), 3, 4, SequenceMask::from_lengths(sizes, 4));
  const Tensor lengths = Tensor::from<std::int64_t>({4, 2, 0}, {3});
  RecurrentBatch turned = x;
  turned.gates = ops::reverse_packed_segs(x.gates, lengths, true);
  const auto back = test::fused(is_lstm(), x, true).all;
  const auto of_turned = test::fused(is_lstm(), turned, false).all;
  const Variable output = ops::reverse_packed_segs(of_turned[0], lengths, true);
  EXPECT_TRUE(same_bits(back[0].value(), output.value()));
  for (std::size_t k = 1; k < back.size(); ++k) {
    EXPECT_TRUE(same_bits(back[k].value(), of_turned[k].value()));
  }
}

// The gates of a batch with `more` positions that do not exist behind each sequence.
Variable padded(const Variable& gates, const SequenceMask& mask, std::int64_t more) {
  const std::int64_t batch = gates.dim(0), length = gates.dim(1), width = gates.dim(2);
  Tensor wide = Tensor::full({batch, length + more, width}, test::kNaN, gates.dtype());
  Tensor keep = Tensor::zeros({batch, length + more}, DType::kBool);
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t s = 0; s < length; ++s) {
      wide[b][s].copy_from(gates.value()[b][s]);
      keep.data<bool>()[b * (length + more) + s] = mask.bits().data<bool>()[b * length + s];
    }
  }
  return test::leaf(wide, SequenceMask(keep));
}

TEST_P(Recurrent, ChangesNoBitWithMorePaddingWhateverItHolds) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool reverse : {false, true}) {
      Random random(4);
      const SequenceMask mask = masks()[2];
      const RecurrentBatch x(random, width(), 3, 4, mask, dtype);
      RecurrentBatch y = x;
      y.gates = padded(x.gates, mask, 3);
      // No weight where there is no position.
      std::vector<Tensor> weights = test::weights_for(test::fused(is_lstm(), x, reverse).all);
      const test::RecurrentBothWays narrow = run_fused(is_lstm(), x, reverse, leaves(x), weights);
      Tensor wide = Tensor::full({3, 7, kHidden}, 1, dtype);
      for (std::int64_t b = 0; b < 3; ++b) {
        for (std::int64_t s = 0; s < 4; ++s) wide[b][s].copy_from(weights[0][b][s]);
      }
      weights[0] = wide;
      const test::RecurrentBothWays more = run_fused(is_lstm(), y, reverse, leaves(y), weights);
      for (std::size_t k = 1; k < narrow.outputs.size(); ++k) {
        EXPECT_TRUE(same_bits(narrow.outputs[k].value(), more.outputs[k].value()));
        EXPECT_TRUE(same_bits(narrow.gradients[k], more.gradients[k])) << k;
      }
      for (std::int64_t b = 0; b < 3; ++b) {
        for (std::int64_t s = 0; s < 7; ++s) {
          const Tensor of_output = more.outputs[0].value()[b][s],
                       of_gates = more.gradients[0][b][s];
          if (s < 4) {
            EXPECT_TRUE(same_bits(of_output, narrow.outputs[0].value()[b][s]));
            EXPECT_TRUE(same_bits(of_gates, narrow.gradients[0][b][s]));
          } else {
            EXPECT_THAT(to_doubles(of_output), ::testing::Each(0));
            EXPECT_THAT(to_doubles(of_gates), ::testing::Each(0));
          }
        }
      }
    }
  }
}

TEST_P(Recurrent, GivesASequenceTheSameBitsInAnyBatch) {
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    const std::int64_t batch = 40;
    const SequenceMask mask(test::random_bits(random, {batch, 5}));
    const RecurrentBatch x(random, width(), batch, 5, mask, dtype);
    const auto together = test::fused(is_lstm(), x, false).all;
    for (const std::int64_t b : {0, 7, 39}) {
      RecurrentBatch one = x;
      one.gates =
          Variable(x.gates.value()[b].reshape({1, 5, width() * kHidden}), Variable::kConstant,
                   SequenceMask(mask.bits()[b].clone().reshape({1, 5})));
      one.h = Variable(x.h.value()[b].reshape({1, kHidden}));
      one.c = Variable(x.c.value()[b].reshape({1, kHidden}));
      const auto alone = test::fused(is_lstm(), one, false).all;
      for (std::size_t k = 0; k < alone.size(); ++k) {
        EXPECT_TRUE(same_bits(alone[k].value()[0], together[k].value()[b])) << b << " " << k;
      }
    }
  }
}

TEST_P(Recurrent, GivesTheSameBitsOnAPackedRow) {
  for (const bool reverse : {false, true}) {
    Random random(6);
    const SequenceMask mask = masks()[2];
    const RecurrentBatch x(random, width(), 3, 4, mask);
    const test::RecurrentBothWays batch = run_fused(is_lstm(), x, reverse, leaves(x));
    const ops::Packing packing = ops::packing_of(mask);
    Tape tape;
    const ops::RecurrentOptions options = {
        .reverse = reverse, .segments = packing.segments, .sequences = 3};
    const Variable gates = ops::pack(x.gates, packing);
    std::vector<Variable> outputs;
    if (is_lstm()) {
      const auto [output, last] = ops::lstm(gates, x.w_h, {x.h, x.c}, options);
      outputs = {ops::unpack(output, packing), last.h, last.c};
    } else {
      const auto [output, last] = ops::gru(gates, x.w_h, x.b_h, x.h, options);
      outputs = {ops::unpack(output, packing), last};
    }
    const auto of_row = test::gradients(tape, outputs, test::weights_for(batch.outputs), leaves(x));
    test::expect_same({outputs, of_row}, batch);
  }
}

TEST_P(Recurrent, CarriesTheStateThroughWhereNothingExists) {
  Random random(7);
  const SequenceMask mask = test::mask_of({0, 0, 0, 1, 1, 1}, {2, 3});
  const RecurrentBatch x(random, width(), 2, 3, mask);
  Tape tape;
  const auto outputs = test::fused(is_lstm(), x, false).all;
  EXPECT_TRUE(same_bits(outputs[1].value()[0], x.h.value()[0]));
  if (is_lstm()) {
    EXPECT_TRUE(same_bits(outputs[2].value()[0], x.c.value()[0]));
  }
  EXPECT_THAT(to_doubles(outputs[0].value()[0]), ::testing::Each(0));
  tape.backward(outputs[1], Tensor::full({2, kHidden}, 1, DType::kFloat64));
  EXPECT_THAT(to_doubles(x.h.grad()[0]), ::testing::Each(1));
  EXPECT_THAT(to_doubles(x.gates.grad()[0]), ::testing::Each(0));
}

TEST_P(Recurrent, KeepsNothingForAGradientWhereNothingRecords) {
  Random random(10);
  const RecurrentBatch x(random, width(), 16, 64, {});
  const auto in_use = [] { return static_cast<std::int64_t>(Pool::cpu().stats().bytes_in_use); };
  const auto taken_by_a_run = [&] {
    const std::int64_t before = in_use();
    const auto outputs = test::fused(is_lstm(), x, false).all;
    return in_use() - before;
  };
  constexpr std::int64_t kOutput = 16 * 64 * kHidden * 8;
  const std::int64_t alone = taken_by_a_run();
  if (alone == 0) GTEST_SKIP() << "under AddressSanitizer the pool counts nothing";
  // The output, and at most a quarter more for rounding and the last states.
  EXPECT_GE(alone, kOutput);
  EXPECT_LT(alone, kOutput * 5 / 4);
  Tape tape;
  EXPECT_GT(taken_by_a_run(), 4 * kOutput);
}

TEST_P(Recurrent, GivesTheSameBitsWhereNothingRecords) {
  Random random(10);
  for (const bool reverse : {false, true}) {
    const RecurrentBatch x(random, width(), 3, 4, masks()[2]);
    const test::RecurrentBothWays recorded = run_fused(is_lstm(), x, reverse, leaves(x));
    test::expect_same({test::fused(is_lstm(), x, reverse).all, {}}, {recorded.outputs, {}});
  }
}

TEST_P(Recurrent, LetsNoPoisonThrough) {
  Random random(11);
  const RecurrentBatch x(random, width(), 3, 4, masks()[2]);
  std::vector<NamedLeaf> named;
  for (const Variable& leaf : leaves(x))
    named.push_back({"leaf" + std::to_string(named.size()), leaf});
  for (std::size_t k = 0; k < (is_lstm() ? 3u : 2u); ++k) {
    const LeakReport report =
        check_mask_leaks([&] { return test::fused(is_lstm(), x, false).all[k]; }, named);
    EXPECT_TRUE(report.holds()) << to_string(report);
    EXPECT_GT(report.masked_places, 0);
  }
}

}  // namespace
}  // namespace maskgrad
