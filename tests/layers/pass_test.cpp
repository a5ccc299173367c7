#include <gmock/gmock.h>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::mask_of;
using ::testing::ElementsAre;

// Left padding, a hole within, nothing at all.
SequenceMask some_mask() { return mask_of({0, 1, 1, 1, 0, 1, 0, 0, 0}, {3, 3}); }
Variable value(SequenceMask mask = {}) {
  return Variable(Tensor::zeros({3, 3, 2}, DType::kFloat32), Variable::kConstant, std::move(mask));
}
std::vector<double> positions_of(Pass& pass, const Variable& x) {
  return test::to_doubles(pass.positions(x));
}

TEST(Pass, IsInferenceUnlessItTrains) {
  EXPECT_FALSE(Pass().is_training());
  EXPECT_TRUE(Pass::training(1, 2).is_training());
  EXPECT_EQ(error_of([] { Pass().random(); }),
            "[pass] has no random numbers: it is inference; use Pass::training(seed, step) to "
            "train");
}

TEST(Pass, GivesEachLayerRandomNumbersOfItsOwnInEachStep) {
  const auto drawn = [](std::uint64_t seed, std::uint64_t step, std::string_view layer) {
    const Scope scope(layer);
    return Pass::training(seed, step).random().bits64();
  };
  const std::uint64_t first = drawn(1, 2, "a");
  EXPECT_EQ(drawn(1, 2, "a"), first);
  EXPECT_NE(drawn(2, 2, "a"), first);
  EXPECT_NE(drawn(1, 3, "a"), first);
  EXPECT_NE(drawn(1, 2, "b"), first);
  EXPECT_EQ(first, Random(1, stream_of("a"), 2).bits64());
  const Scope outer("block"), inner("a");
  EXPECT_EQ(Pass::training(1, 2).random("weights").bits64(),
            Random(1, stream_of("block.a.weights"), 2).bits64());
  EXPECT_NE(Pass::training(1, 2).random("weights").bits64(),
            Pass::training(1, 2).random("output").bits64());
  const ops::Packing packing = ops::packing_of(some_mask());
  EXPECT_EQ(Pass::training(1, 2).on_row(packing).random().bits64(),
            Random(1, stream_of("block.a"), 2).bits64());
}

TEST(Pass, DrawsAnewInEachPartOfAStepAndKnowsTheStep) {
  std::set<double> drawn;
  for (std::uint64_t step = 0; step < 3; ++step) {
    for (std::uint64_t part = 0; part < 4; ++part) {
      const Pass pass = Pass::training_part(7, step, part, 4);
      EXPECT_EQ(pass.step(), step);
      drawn.insert(pass.random().uniform());
      EXPECT_EQ(pass.random().uniform(), Pass::training(7, step * 4 + part).random().uniform());
    }
  }
  EXPECT_EQ(drawn.size(), 12u);
}

TEST(Pass, KnowsTheMostPositionsThatItsLayersTellApart) {
  Pass pass;
  EXPECT_EQ(pass.most_positions(), std::nullopt);
  Sequential layers;
  layers.add<LearnedPositions>("wide", 9, 2).add<LearnedPositions>("narrow", 5, 2);
  const ParameterBuffer parameters(layers, DType::kFloat32, 1);
  Pass copy = pass;
  layers(value(), copy);
  EXPECT_EQ(pass.most_positions(), 5) << "copies share what one of them learns";
  layers.layer("wide")(value(), pass);
  EXPECT_EQ(pass.most_positions(), 5);
}

TEST(Pass, KnowsTheMostPositionsOfItsRow) {
  Pass pass;
  pass.limit_positions(9);
  Pass row = pass.on_row(ops::packing_of(some_mask()));
  EXPECT_EQ(row.most_positions(), 9);
  row.limit_positions(5);
  EXPECT_EQ(pass.most_positions(), 5);
  Pass other;
  other.limit_positions(4);
  other.set_pairs(AttentionMask::causal(3));
  EXPECT_EQ(other.most_positions(), 4) << "pairs tell nothing of it";
  EXPECT_EQ(pass.most_positions(), 5) << "another pass";
}

TEST(Pass, CountsThePositionsThatExist) {
  Pass pass;
  EXPECT_THAT(positions_of(pass, value()), ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2));
  EXPECT_THAT(positions_of(pass, value(some_mask())), ElementsAre(0, 0, 1, 0, 0, 1, 0, 0, 0));
  const Variable other(Tensor::zeros({1, 2}, DType::kFloat32));
  EXPECT_THAT(positions_of(pass, other), ElementsAre(0, 1));
  EXPECT_THAT(positions_of(pass, value()), ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2));
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = pass.on_row(packing);
  EXPECT_THAT(positions_of(row, Variable(Tensor::zeros({1, 4, 2}, DType::kFloat32))),
              ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(error_of([&] { pass.positions(Variable(test::make({1}, {1}))); }),
            "[pass] a value of (1,) has no positions; it needs [B, S, ...]");
  EXPECT_EQ(error_of([&] { row.positions(value()); }),
            "[pass] a value of (3, 3, 2) does not stand on the packed row of 4 positions");
}

TEST(Pass, KnowsWhichPairsMayAttend) {
  Pass pass;
  EXPECT_TRUE(pass.attention(value()).pairs() == AttentionMask::all(3, 3));
  EXPECT_TRUE(pass.attention(value(some_mask())).pairs() == AttentionMask::existing(some_mask()));
  EXPECT_TRUE(pass.attention(value(some_mask())).queries() == some_mask());
  pass.set_pairs(AttentionMask::causal(3));
  EXPECT_TRUE(pass.attention(value()).pairs() == AttentionMask::causal(3));
  EXPECT_TRUE(pass.attention(value(some_mask())).pairs() ==
              (AttentionMask::existing(some_mask()) & AttentionMask::causal(3)));
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = Pass().on_row(packing);
  EXPECT_TRUE(row.attention(Variable(Tensor::zeros({1, 4, 2}, DType::kFloat32))).pairs() ==
              AttentionMask::segments(packing.segments));
}

TEST(Pass, LeavesOutOfCausalAttentionWhatComesLater) {
  const AttentionMask causal = AttentionMask::causal(3);
  Pass pass;
  EXPECT_TRUE(pass.attention(value(), AttentionKind::kCausal).pairs() == causal);
  EXPECT_TRUE(pass.attention(value()).pairs() == AttentionMask::all(3, 3));
  EXPECT_TRUE(pass.attention(value(some_mask()), AttentionKind::kCausal).pairs() ==
              (AttentionMask::existing(some_mask()) & causal));
  const AttentionMask window = AttentionMask::window(3, 3, 1, 1);
  pass.set_pairs(window);
  EXPECT_TRUE(pass.attention(value(), AttentionKind::kCausal).pairs() == (window & causal));
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = Pass().on_row(packing);
  const Variable on_row(Tensor::zeros({1, 4, 2}, DType::kFloat32));
  EXPECT_TRUE(row.attention(on_row, AttentionKind::kCausal).pairs() ==
              (AttentionMask::segments(packing.segments) & AttentionMask::causal(4)));
}

TEST(Pass, KnowsWhichPairsOfTwoSequencesMayAttend) {
  Pass pass;
  const SequenceMask keys = mask_of({1, 1, 0, 1, 1, 1}, {3, 2});
  const auto memory = [](SequenceMask mask = {}) {
    return Variable(Tensor::zeros({3, 2, 5}, DType::kFloat32), Variable::kConstant, mask);
  };
  const auto pairs = [&](const Variable& x, const Variable& other) {
    return pass.attention(x, other).pairs();
  };
  EXPECT_TRUE(pairs(value(), memory()) == AttentionMask::all(3, 2));
  EXPECT_TRUE(pairs(value(), memory(keys)) == AttentionMask::padding(keys, 3));
  EXPECT_TRUE(pairs(value(some_mask()), memory(keys)) ==
              AttentionMask::existing(some_mask(), keys));
  EXPECT_TRUE(pairs(value(some_mask()), memory()) ==
              AttentionMask::existing(some_mask(), mask_of({1, 1, 1, 1, 1, 1}, {3, 2})));
  EXPECT_EQ(pass.attention(value(some_mask()), memory(keys)).pairs().intervals(0, 0, 0).data(),
            pass.attention(value(some_mask()), memory(keys)).pairs().intervals(0, 0, 0).data())
      << "the plan is made twice";
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = Pass().on_row(packing);
  EXPECT_EQ(error_of([&] { row.attention(value(), memory()); }),
            "[pass] a packed row does not attend to another sequence");
  EXPECT_EQ(error_of([&] { pass.attention(value(), Variable()); }),
            "[pass] an input of attention was used before it was given a value");
}

TEST(Pass, NumbersThePlacesOfABatchApartFromPadding) {
  constexpr double kSequence = 4294967296.0;  // 2^32
  Pass pass;
  const auto places = [](Pass& of, const Variable& x) { return test::to_doubles(of.places(x)); };
  EXPECT_THAT(places(pass, value()),
              ElementsAre(0, 1, 2, kSequence, kSequence + 1, kSequence + 2, 2 * kSequence,
                          2 * kSequence + 1, 2 * kSequence + 2));
  const std::vector<double> padded = places(pass, value(some_mask()));
  EXPECT_EQ(padded[1], 0);
  EXPECT_EQ(padded[2], 1);
  EXPECT_EQ(padded[5], kSequence + 1);
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = Pass().on_row(packing);
  EXPECT_THAT(places(row, Variable(Tensor::zeros({1, 4, 2}, DType::kFloat32))),
              ElementsAre(0, 1, kSequence, kSequence + 1));
}

// Those of an encoder and of a decoder, by turns.
TEST(Pass, MakesThePlanOfEachMaskOnce) {
  Pass pass;
  const SequenceMask other = mask_of({1, 1, 1, 1, 1, 0, 0, 0, 0}, {3, 3});
  const ops::AttentionPlan first = pass.attention(value(some_mask())),
                           second = pass.attention(value(other));
  const auto runs = [](const ops::AttentionPlan& plan) {
    return plan.pairs().intervals(0, 0, 0).data();
  };
  EXPECT_EQ(runs(pass.attention(value(some_mask()))), runs(first));
  EXPECT_EQ(runs(pass.attention(value(other))), runs(second));
  EXPECT_NE(runs(first), runs(second));
}

TEST(Pass, MakesThePlanOfTheSameWindowsOnce) {
  Pass pass;
  const Variable x = value(some_mask());
  const std::vector<std::int64_t> near = {0, 1}, far = {2, 1};
  constexpr AttentionKind kBoth = AttentionKind::kBidirectional, kCausal = AttentionKind::kCausal;
  const auto runs = [](const ops::AttentionPlan& plan) {
    return plan.pairs().intervals(0, 0, 0).data();
  };
  const ops::AttentionPlan first = pass.attention(x, kBoth, near);
  const ops::AttentionPlan other = pass.attention(x, kBoth, far),
                           causal = pass.attention(x, kCausal, near);
  EXPECT_EQ(runs(pass.attention(x, kBoth, near)), runs(first));
  EXPECT_NE(runs(other), runs(first));
  EXPECT_NE(runs(causal), runs(first));
  EXPECT_EQ(first.pairs().shape()[1], 2);
}

TEST(Pass, IsPackedOnceAndNotWithPairsOfItsOwn) {
  const ops::Packing packing = ops::packing_of(some_mask());
  Pass row = Pass().on_row(packing);
  ASSERT_NE(row.packing(), nullptr);
  EXPECT_TRUE(row.packing()->segments.is_same_view(packing.segments));
  EXPECT_EQ(error_of([&] { row.on_row(packing); }), "[pass] the batch is packed already");
  EXPECT_EQ(error_of([&] { row.set_pairs(AttentionMask::causal(3)); }),
            "[pass] a packed row cannot have pairs of its own");
  Pass causal;
  causal.set_pairs(AttentionMask::causal(3));
  EXPECT_EQ(error_of([&] { causal.on_row(packing); }),
            "[pass] a batch whose attention has pairs of its own cannot be packed");
  EXPECT_EQ(error_of([&] { Pass::unpacked().on_row(packing); }),
            "[pass] a pass made by unpacked() cannot be packed");
  EXPECT_TRUE(Pass().may_pack());
  for (const Pass& pass : {row, causal, Pass::unpacked()}) EXPECT_FALSE(pass.may_pack());
}

}  // namespace
}  // namespace maskgrad
