// Language models with the faults that people make, each found and named. Sound ones are in
// prove_causal_sound_test.cpp.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

#include "layers/causal_model.hpp"
#include "layers/causal_pieces.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using namespace test::causal;
using test::error_of;
using test::mask_of;
using test::PieceOfModel;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(AModel, WhoseMaskIsOneTooLongIsFound) {
  Model model;
  const auto pairs = AttentionMask::causal(kLength, kLength, 1);
  const CausalProof proof = model.add<Encoder>("encoder", small()).prove(tokens(), pairs);
  EXPECT_EQ(proof.leak, "behind it");
  ASSERT_FALSE(proof.path.empty());
  EXPECT_EQ(proof.path.front(), "token 1 of document 0") << to_string(proof);
  EXPECT_THAT(
      proof.path,
      ::testing::Contains(HasSubstr("self_attention in layer 'encoder.block0.attention' gives")));
  EXPECT_THAT(proof.path.back(), HasSubstr("in layer 'head' gives element 0 of (3, 5, 9), a logit "
                                           "of position 0 of document 0"));
}

TEST(AModel, ThatForgetsTheMaskInOneOfItsLayersIsFound) {
  for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
    Model model;
    model.add<DecoderBlock>("block0", small());
    model.add<EncoderBlock>("block1", small()).add<DecoderBlock>("block2", small());
    const CausalProof proof = model.prove(tokens(mask));
    EXPECT_EQ(proof.leak, "behind it");
    const auto attention = [](const char* block) {
      return HasSubstr(fmt::format("attention in layer '{}.attention'", block));
    };
    EXPECT_THAT(proof.path, ::testing::Contains(attention("block1"))) << to_string(proof);
  }
}

TEST(AModel, ThatReadsFromTheEndTooIsFound) {
  for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
    Model model;
    model.add<Lstm>("lstm", kFeatures, kFeatures / 2, LstmOptions{.bidirectional = true});
    const CausalProof proof = model.prove(tokens(mask));
    EXPECT_EQ(proof.leak, "behind it");
    EXPECT_THAT(proof.path, ::testing::Contains(HasSubstr("lstm in layer 'lstm'")))
        << to_string(proof);
  }
}

TEST(AModel, ThatAddsTheMeanOverTimeIsFound) {
  Model model;
  model.add<Decoder>("decoder", small()).add<PieceOfModel>("pool", test::mean_over(1));
  const CausalProof proof = model.prove(tokens());
  EXPECT_EQ(proof.leak, "behind it");
  EXPECT_THAT(proof.path, ::testing::Contains(HasSubstr("in layer 'pool'"))) << to_string(proof);
}

TEST(AModel, ThatAddsTheMeanOverTheBatchIsFound) {
  Model model;
  model.add<PieceOfModel>("statistic", test::mean_over(0)).add<Decoder>("decoder", small());
  const CausalProof proof = model.prove(tokens());
  EXPECT_FALSE(proof.path.empty());
  EXPECT_EQ(proof.leak, "of another document");
  EXPECT_THAT(proof.path, ::testing::Contains(HasSubstr("in layer 'statistic'")))
      << to_string(proof);
}

// On a row the token before may be another document's.
TEST(AModel, ThatLooksAtTheTokenBeforeIsFoundOnTheRowAlone) {
  Model model;
  model.add<PieceOfModel>("shift", test::shifted_by(1));
  EXPECT_TRUE(model.prove(tokens()).holds());
  Model other;
  other.add<PieceOfModel>("shift", test::shifted_by(1));
  const SequenceMask all = mask_of(std::vector<double>(15, 1), {kBatch, kLength});
  const CausalProof proof = other.prove(tokens(all));
  EXPECT_TRUE(proof.on_row);
  EXPECT_EQ(proof.leak, "of another document");
  EXPECT_THAT(to_string(proof), HasSubstr(": on the packed row a logit can depend on a token of "
                                          "another document\n  token "));
  EXPECT_THAT(proof.path, ::testing::Contains(HasSubstr("in layer 'shift'")));
}

TEST(AModel, WhosePositionsDoNotRestartOnTheRowIsFound) {
  Model model;
  model.add<test::RunningPositions>("positions", test::Running::kOnRow, kFeatures);
  const CausalProof proof = model.add<Decoder>("decoder", small()).prove(tokens(some_mask()));
  EXPECT_THAT(proof.path, IsEmpty()) << "the reach of tokens does not show it";
  EXPECT_FALSE(proof.holds());
  EXPECT_EQ(proof.restart,
            "positions that do not restart: 'tokens' of embedding in layer 'positions' differs at "
            "the same position");
  EXPECT_THAT(to_string(proof), HasSubstr("a logit depends on what stands before its document\n"));
}

TEST(AModel, WhosePositionsDoNotRestartInTheBatchIsFound) {
  Model model;
  model.add<test::RunningPositions>("positions", test::Running::kInBatch, kFeatures);
  EXPECT_THAT(model.add<Decoder>("decoder", small()).prove(tokens()).restart,
              HasSubstr("'tokens' of embedding in layer 'positions'"));
}

TEST(AModel, WhosePositionsAreASliceOfTheirTableIsFound) {
  Model model;
  model.add<test::RunningPositions>("positions", test::Running::kSlice, kFeatures);
  EXPECT_EQ(model.add<Decoder>("decoder", small()).prove(tokens(some_mask())).restart,
            "positions that do not restart: no constant shows where");
}

TEST(AModel, IsNotProvedOnABatchThatHoldsNothing) {
  const std::string none = "[prove_causal] no token belongs to a document: nothing to prove";
  const auto error = [](const Variable& on) {
    Model model;
    model.add<Decoder>("decoder", small());
    return error_of([&] { model.prove(on); });
  };
  EXPECT_EQ(error(tokens(mask_of(std::vector<double>(15, 0.0), {kBatch, kLength}))), none);
  EXPECT_EQ(error(Variable(Tensor::zeros({0, kLength}, DType::kInt64))), none);
}

// The last logit of the last sequence is `alone` where that sequence runs alone, and else `among`.
CausalProof proof_where_numbers_are(double among, double alone) {
  Sequential layers;
  layers.add<Embed>("embed", kVocabulary, kFeatures);
  const ParameterBuffer parameters(layers, DType::kFloat64, 1);
  return prove_causal(
      [&](const Variable& x, Pass& pass) {
        const Variable y = layers(x, pass);
        Tensor more = Tensor::zeros(y.shape(), y.dtype());
        more.data<double>()[more.numel() - 1] = x.dim(0) == 1 ? alone : among;
        return ops::add(y, Variable(more));
      },
      tokens());
}

TEST(AModel, MustGiveADocumentTheSameInfinitiesAloneAndAmongOthers) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (const double number : {0.0, kInf, -kInf, kNaN}) {
    for (const double other : {0.0, kInf, -kInf, kNaN}) {
      const bool same = number == other || (std::isnan(number) && std::isnan(other));
      EXPECT_EQ(proof_where_numbers_are(number, other).holds(), same) << number << " " << other;
    }
  }
}

TEST(AModel, MustTakeTokens) {
  const auto run = [](const Variable& x, Pass&) { return ops::negate(x); };
  EXPECT_EQ(error_of([&] { prove_causal(run, Variable()); }),
            "[prove_causal] the tokens was used before it was given a value");
  EXPECT_EQ(error_of([&] { prove_causal(LanguageModel(), tokens()); }),
            "[prove_causal] the model was used before it was given a value");
  EXPECT_EQ(error_of([&] { prove_causal(run, Variable(test::make({1}, {1}))); }),
            "[prove_causal] tokens must be [B, S], got (1,)");
}

}  // namespace
}  // namespace maskgrad
