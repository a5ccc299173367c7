// The proof against the truth, on random models: each token is replaced in turn, and the logits are
// compared bit for bit.
#include <cstdlib>
#include <iostream>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/prove_causal.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "layers/causal_pieces.hpp"
#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::PieceOfModel;

constexpr std::int64_t kVocabulary = 6, kBatch = 2, kLength = 4, kFeatures = 4;

// MASKGRAD_RANDOM_MODELS tries more of them.
int number_of_models() {
  const char* const more = std::getenv("MASKGRAD_RANDOM_MODELS");
  return more ? std::atoi(more) : 200;
}

// A random model on a random batch, whole or as a packed row.
class RandomCase {
 public:
  explicit RandomCase(int number) : random_(11, static_cast<std::uint32_t>(number)) {
    layers_.add<Embed>("embed", kVocabulary, kFeatures);
    for (std::int64_t i = random_.integer(1, 3); i-- > 0;) add_sound();
    if (random_.below(2) == 0) add_leaking();
    if (random_.below(2) == 0) add_sound();
    layers_.add<Dense>("head", kFeatures, kVocabulary);
    parameters_ = std::make_unique<ParameterBuffer>(layers_, DType::kFloat64, 1);
    Tensor bits = test::random_bits(random_, {kBatch, kLength}, 0.8);
    bits.data<bool>()[0] = bits.data<bool>()[bits.numel() - 1] = true;
    packing_ = ops::packing_of(SequenceMask(bits));
    on_row_ = random_.below(2) == 0;
    tokens =
        Tensor::empty(on_row_ ? packing_.segments.shape() : Shape{kBatch, kLength}, DType::kInt64);
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      tokens.data<std::int64_t>()[i] = random_.below(kVocabulary);
    }
  }

  Variable logits(const Tensor& of) {
    Pass pass = on_row_ ? Pass().on_row(packing_) : Pass();
    return layers_(Variable(of), pass);
  }
  CausalProof prove() {
    const Tape tape({.trace = true});
    return prove_causal(tape, tokens, logits(tokens), on_row_ ? packing_.segments : Tensor());
  }
  std::int64_t document(std::int64_t i) const {
    return on_row_ ? std::as_const(packing_.segments).data<std::int64_t>()[i] : i / kLength;
  }
  std::string name() const { return name_ + (on_row_ ? " on a row" : ""); }

  Tensor tokens;

 private:
  template <class L, class... Args>
  void add(const std::string& name, Args&&... args) {
    layers_.add<L>(fmt::format("{}{}", name, count_++), std::forward<Args>(args)...);
    name_ += (name_.empty() ? "" : ", ") + name;
  }

  TransformerOptions block() {
    TransformerOptions options = {.features = kFeatures, .heads = 2, .hidden = 5};
    options.norm_first = random_.below(2) == 0;
    if (random_.below(2) == 0) options.rotary.emplace();
    return options;
  }

  void add_sound() {
    switch (random_.below(6)) {
      case 0:
      case 1:
        return add<DecoderBlock>("decoder", block());
      case 2:
        return add<LearnedPositions>("positions", kBatch * kLength, kFeatures);
      case 3:
        return add<Dense>("dense", kFeatures, kFeatures);
      case 4:
        return add<LayerNorm>("norm", kFeatures);
      default:  // on a row it looks at another document
        return add<PieceOfModel>("before", test::shifted_by(1));
    }
  }

  void add_leaking() {
    switch (random_.below(4)) {
      case 0:
        return add<EncoderBlock>("encoder", block());
      case 1:
        return add<PieceOfModel>("over_time", test::mean_over(1));
      case 2:  // sound on a row, as it adds x to itself
        return add<PieceOfModel>("over_batch", test::mean_over(0));
      default:
        return add<PieceOfModel>("behind", test::shifted_by(-1));
    }
  }

  Random random_;
  Sequential layers_;
  std::unique_ptr<ParameterBuffer> parameters_;
  ops::Packing packing_;
  bool on_row_ = false;
  std::string name_;
  int count_ = 0;
};

// Whether a logit of `place` must not depend on `token`.
bool is_forbidden(const RandomCase& model, std::int64_t place, std::int64_t token) {
  return model.document(place) != model.document(token) || place < token;
}

// Whether another token changes a bit of a logit that must not depend on it.
bool leaks(RandomCase& model) {
  const Tensor before = model.logits(model.tokens).value();
  const auto of_place =
      static_cast<std::size_t>(before.nbytes()) / static_cast<std::size_t>(model.tokens.numel());
  for (std::int64_t token = 0; token < model.tokens.numel(); ++token) {
    for (const std::int64_t step : {1, 3}) {
      Tensor other = model.tokens.clone();
      std::int64_t& id = other.data<std::int64_t>()[token];
      id = (id + step) % kVocabulary;
      const Tensor after = model.logits(other).value();
      for (std::int64_t place = 0; place < model.tokens.numel(); ++place) {
        const auto at = static_cast<std::size_t>(place) * of_place;
        const bool same = std::equal(before.raw_data() + at, before.raw_data() + at + of_place,
                                     after.raw_data() + at);
        if (!same && is_forbidden(model, place, token)) return true;
      }
    }
  }
  return false;
}

TEST(TheCausalProof, AgreesWithTheTruthOnRandomModels) {
  int leaking = 0, disagreements = 0;
  for (int number = 0; number < number_of_models(); ++number) {
    RandomCase model(number);
    const CausalProof proof = model.prove();
    const bool leaks_in_truth = leaks(model);
    const std::string about =
        fmt::format("model {}: {}\n{}", number, model.name(), to_string(proof));
    EXPECT_FALSE(proof.holds() && leaks_in_truth) << "proved, but wrong: " << about;
    leaking += leaks_in_truth;
    if (proof.holds() != leaks_in_truth) continue;
    ++disagreements;
    std::cout << "no other token shows: " << about << "\n";
  }
  EXPECT_GT(leaking, number_of_models() / 5);
  EXPECT_LT(leaking, number_of_models() * 4 / 5);
  EXPECT_LE(disagreements, number_of_models() / 100);
}

}  // namespace
}  // namespace maskgrad
