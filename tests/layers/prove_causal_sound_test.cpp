// Sound language models, each proved.
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/layers/dropout.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>

#include "layers/causal_model.hpp"

namespace maskgrad {
namespace {

using namespace test::causal;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
                     test::mask_of({1, 1, 1}, {1, 3}));
  const CausalProof proof = model.add<Decoder>("decoder", small()).prove(one);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
}

}  // namespace
}  // namespace maskgrad
