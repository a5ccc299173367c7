// Language models with the faults that people make, each found and named, and sound ones.
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/dropout.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/prove_causal.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

#include "layers/causal_pieces.hpp"
#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::mask_of;
using test::PieceOfModel;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kVocabulary = 9, kBatch = 3, kLength = 5, kFeatures = 8;

Variable tokens(SequenceMask mask = {}) {
  return Variable(
      Tensor::from<std::int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 5, 7, 2, 4, 6}, {kBatch, kLength}),
      Variable::kConstant, std::move(mask));
}
// Padding before, between and behind.
SequenceMask some_mask() {
  return mask_of({1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0}, {kBatch, kLength});
}

TransformerOptions small() {
  return {.features = kFeatures, .heads = 2, .hidden = 12, .layers = 2};
}

// An embedding, what a test adds, and a head.
class Model {
 public:
  Model() { layers.add<Embed>("embed", kVocabulary, kFeatures); }

  template <class L, class... Args>
  Model& add(const std::string& name, Args&&... args) {
    layers.add<L>(name, std::forward<Args>(args)...);
    return *this;
  }

  CausalProof prove(const Variable& on, const AttentionMask& pairs = {}) {
    layers.add<Dense>("head", kFeatures, kVocabulary);
    const ParameterBuffer parameters(layers, DType::kFloat32, 1);
    const auto run = [&](const Variable& x, Pass& pass) {
      if (pairs.defined()) pass.set_pairs(pairs);
      return layers(x, pass);
    };
    return prove_causal(run, on);
  }

  Sequential layers;
};

struct SoundCase {
  const char* name;
  std::function<void(Model&)> build;
};
void PrintTo(const SoundCase& sound, std::ostream* out) { *out << sound.name; }

TransformerOptions with(const std::function<void(TransformerOptions&)>& change) {
  TransformerOptions options = small();
  change(options);
  return options;
}

const SoundCase kSound[] = {
    {"LearnedPositions",
     [](Model& m) {
       m.add<LearnedPositions>("positions", kLength, kFeatures).add<Decoder>("decoder", small());
     }},
    {"SinusoidalPositions",
     [](Model& m) { m.add<SinusoidalPositions>("positions").add<Decoder>("decoder", small()); }},
    {"RotaryPositions",
     [](Model& m) {
       m.add<Decoder>("decoder", with([](auto& o) { o.rotary = ops::RotaryOptions(); }));
     }},
    {"NormsBehind",
     [](Model& m) { m.add<Decoder>("decoder", with([](auto& o) { o.norm_first = false; })); }},
    {"GatedWithRMSNormAndFewKeys",
     [](Model& m) {
       m.add<Decoder>("decoder", with([](auto& o) {
                        o.norm = NormKind::kRms;
                        o.gated = true;
                        o.bias = false;
                        o.key_heads = 1;
                        o.activation = Activation::kSilu;
                      }));
     }},
    {"DropoutInInference",
     [](Model& m) {
       m.add<Dropout>("dropout", 0.5);
       m.add<Decoder>("decoder", with([](auto& o) { o.dropout = 0.5; }));
     }},
    {"Recurrent",
     [](Model& m) {
       m.add<Lstm>("lstm", kFeatures, kFeatures, LstmOptions{.layers = 2});
       m.add<Gru>("gru", kFeatures, kFeatures);
     }},
    {"NoAttention", [](Model& m) { m.add<Dense>("dense", kFeatures, kFeatures); }},
};

class ASoundModel : public ::testing::TestWithParam<SoundCase> {};
INSTANTIATE_TEST_SUITE_P(Each, ASoundModel, ::testing::ValuesIn(kSound),
                         [](const auto& sound) { return std::string(sound.param.name); });

TEST_P(ASoundModel, IsProvedOnABatchOfWholeSequences) {
  Model model;
  GetParam().build(model);
  const CausalProof proof = model.prove(tokens());
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(proof.positions, kBatch * kLength);
  EXPECT_EQ(proof.documents, kBatch);
  EXPECT_THAT(proof.not_tried, ::testing::ElementsAre("a packed row: the tokens carry no mask"));
}

TEST_P(ASoundModel, IsProvedOnAPaddedBatchAndItsRow) {
  Model model;
  GetParam().build(model);
  const CausalProof proof = model.prove(tokens(some_mask()));
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(proof.positions, some_mask().kept());
  EXPECT_THAT(proof.not_tried, IsEmpty());
}

TEST_P(ASoundModel, IsProvedWhereItPacksTheBatchItself) {
  Model model;
  GetParam().build(model);
  model.layers.pack(PackWhen::kAlways);
  const CausalProof proof = model.prove(tokens(some_mask()));
  EXPECT_TRUE(proof.holds()) << to_string(proof);
}

TEST(AModel, WithTheRightPairsIsProved) {
  Model model;
  const auto pairs = AttentionMask::causal(kLength);
  const CausalProof proof =
      model.add<Encoder>("encoder", small()).prove(tokens(some_mask()), pairs);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_THAT(proof.not_tried, ::testing::ElementsAre(HasSubstr("a packed row: [pass] ")));
}

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

TEST(AModel, ThatMakesItsMaskItselfIsNotTriedOnARow) {
  Sequential layers;
  layers.add<Masking>("masking", 3).add<Embed>("embed", kVocabulary, kFeatures);
  layers.add<Decoder>("decoder", small());
  const ParameterBuffer parameters(layers, DType::kFloat32, 1);
  const auto run = [&](const Variable& x, Pass& pass) { return layers(x, pass); };
  const CausalProof padded = prove_causal(run, tokens());
  EXPECT_TRUE(padded.holds()) << to_string(padded);
  const CausalProof proof = prove_causal(run, tokens(some_mask()));
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_THAT(proof.not_tried,
              ::testing::ElementsAre(HasSubstr("does not say how it runs on a packed row")));
}

TEST(AModel, OfOneSequenceHasNoOtherDocument) {
  Model model;
  const Variable one(Tensor::from<std::int64_t>({1, 2, 3}, {1, 3}), Variable::kConstant,
                     mask_of({1, 1, 1}, {1, 3}));
  const CausalProof proof = model.add<Decoder>("decoder", small()).prove(one);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
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
