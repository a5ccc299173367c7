#include <gmock/gmock.h>

#include <maskgrad/tensor/check/marks.hpp>
#include <maskgrad/tensor/check/prove_causal.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::make;
using test::product;
using ::testing::ElementsAre;

Tensor ids(const std::vector<double>& values, const Shape& shape) {
  return make(values, shape, DType::kInt64);
}

// A number for each token.
Variable look_up(const Variable& tokens, bool tells = true) {
  static const OpDef op = [] {
    OpDef def = test::toy("look_up", MaskRule::kKeeps);
    def.inputs = {{.name = "tokens",
                   .reach = Reach::kElement,
                   .dtypes = DTypes::kInteger,
                   .differentiable = false}};
    def.args = {{"scale", 1.0}};
    return def;
  }();
  const auto rule = [](const Tensor&, Gradients&) {};
  Tensor y = Tensor::zeros(tokens.shape(), DType::kFloat64);
  return tells ? record(op, {&tokens}, std::move(y), rule, {{"scale", 1.0}})
               : record(op, {&tokens}, std::move(y), rule);
}

// Element i depends on element j where pairs[i, j].
Variable mix(const Variable& x, const Tensor& pairs) {
  static const OpDef op = [] {
    OpDef def = test::toy("mix", MaskRule::kKeeps);
    def.inputs = {{.name = "input", .reach = Reach::kByCall}};
    return def;
  }();
  const auto reached = [pairs](std::size_t, const Tensor& marked) {
    Tensor found = Tensor::zeros(marked.shape(), DType::kBool);
    for (std::int64_t p = 0; p < pairs.numel(); ++p) {
      const std::int64_t i = p / marked.numel(), j = p % marked.numel();
      if (std::as_const(pairs).data<bool>()[p] && marked.data<bool>()[j]) {
        found.data<bool>()[i] = true;
      }
    }
    return found;
  };
  return record(op, {&x}, x.value().clone(), with_reach([](const Tensor&, Gradients&) {}, reached));
}

// Takes entries by numbers.
Variable pick(const Variable& x, const Tensor& indices) {
  static const OpDef op = [] {
    OpDef def = test::toy("pick", MaskRule::kKeeps);
    def.inputs = {{.name = "input", .reach = Reach::kElement},
                  {.name = "indices", .dtypes = DTypes::kInteger, .differentiable = false}};
    return def;
  }();
  return record(op, {&x}, x.value().clone(), [](const Tensor&, Gradients&) {},
                {{"indices", indices}});
}

// Of four tokens: each reads itself and what stands before it.
Tensor causal() { return bits({1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1}, {4, 4}); }
// The same of two documents of two tokens.
Tensor of_two() { return bits({1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1}, {4, 4}); }
// With one more pair.
Tensor with_pair(const Tensor& pairs, std::int64_t query, std::int64_t key) {
  Tensor more = pairs.clone();
  more.data<bool>()[4 * query + key] = true;
  return more;
}

const Tensor kOne = ids({5, 6, 7, 8}, {1, 4});
const Tensor kTwo = ids({5, 6, 7, 8}, {2, 2});

CausalProof prove_mix(const Tensor& tokens, const Tensor& pairs, const Tensor& documents = {}) {
  Tape tape({.trace = true});
  const Variable x = look_up(Variable(tokens));
  const Scope layer("mixer");
  return prove_causal(tape, tokens, mix(x, pairs), documents);
}

std::string first_line(const CausalProof& proof) {
  return proof.path.empty() ? "" : proof.path.front();
}
std::string last_line(const CausalProof& proof) {
  return proof.path.empty() ? "" : proof.path.back();
}

TEST(ProveCausal, HoldsWhereAPositionReadsItselfAndWhatStandsBeforeIt) {
  const CausalProof proof = prove_mix(kOne, causal());
  EXPECT_TRUE(proof.holds());
  EXPECT_EQ(to_string(proof),
            "2 operations, 4 positions, 1 document: no logit can depend on a token behind it or of "
            "another document");
}

TEST(ProveCausal, ShowsTheWayFromATokenThatStandsBehind) {
  const CausalProof proof = prove_mix(kOne, with_pair(causal(), 1, 3));
  EXPECT_FALSE(proof.holds());
  EXPECT_EQ(to_string(proof),
            "2 operations, 4 positions, 1 document: a logit can depend on a token behind it\n"
            "  token 3 of document 0\n"
            "  look_up gives element 3 of (1, 4)\n"
            "  mix in layer 'mixer' gives element 1 of (1, 4), a logit of position 1 of document "
            "0");
}

TEST(ProveCausal, FindsEachPairThatIsTooMuch) {
  for (std::int64_t query = 0; query < 4; ++query) {
    for (std::int64_t key = 0; key < 4; ++key) {
      EXPECT_EQ(prove_mix(kOne, with_pair(causal(), query, key)).holds(), key <= query);
      EXPECT_EQ(prove_mix(kTwo, with_pair(of_two(), query, key)).holds(),
                key <= query && key / 2 == query / 2);
    }
  }
}

TEST(ProveCausal, ShowsTheWayFromAnotherSequence) {
  const CausalProof proof = prove_mix(kTwo, with_pair(of_two(), 3, 0));
  EXPECT_EQ(proof.leak, "of another document");
  EXPECT_THAT(proof.path, ElementsAre("token 0 of document 0", "look_up gives element 0 of (2, 2)",
                                      "mix in layer 'mixer' gives element 3 of (2, 2), a logit of "
                                      "position 1 of document 1"));
}

TEST(ProveCausal, NamesDocumentsAsTheCallerDoes) {
  const Tensor documents = ids({40, 40, 7, 7}, {1, 4});
  EXPECT_TRUE(prove_mix(kOne, of_two(), documents).holds());
  const CausalProof proof = prove_mix(kOne, causal(), documents);
  EXPECT_EQ(proof.documents, 2);
  EXPECT_EQ(proof.leak, "of another document");
  EXPECT_EQ(first_line(proof), "token 1 of document 40");
  EXPECT_THAT(last_line(proof), ::testing::EndsWith("a logit of position 0 of document 7"));
}

TEST(ProveCausal, CountsPositionsOfDocumentsThatTakeTurns) {
  const Tensor documents = ids({0, 1, 0, 1}, {1, 4});
  const Tensor turns = bits({1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1}, {4, 4});
  EXPECT_TRUE(prove_mix(kOne, turns, documents).holds());
  EXPECT_EQ(prove_mix(kOne, with_pair(turns, 1, 3), documents).leak, "behind it");
  EXPECT_EQ(prove_mix(kOne, with_pair(turns, 2, 1), documents).leak, "of another document");
}

TEST(ProveCausal, TellsEveryTwoOfManyDocumentsApart) {
  const Tensor documents = ids({0, 1, 2, 3}, {1, 4});
  const Tensor own = bits({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, {4, 4});
  for (std::int64_t pair = 0; pair < 16; ++pair) {
    const std::int64_t query = pair / 4, key = pair % 4;
    const CausalProof proof = prove_mix(kOne, with_pair(own, query, key), documents);
    EXPECT_EQ(proof.holds(), query == key) << query << " reads " << key;
    if (query != key) {
      EXPECT_EQ(first_line(proof), fmt::format("token 0 of document {}", key));
    }
  }
}

TEST(ProveCausal, LooksAtNoPadding) {
  const Tensor documents = ids({0, 0, 0, -1}, {1, 4});
  const CausalProof proof = prove_mix(kOne, with_pair(causal(), 0, 3), documents);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(proof.positions, 3);
  EXPECT_FALSE(prove_mix(kOne, with_pair(causal(), 0, 2), documents).holds());
}

TEST(ProveCausal, FollowsTheTokensThatAreIndices) {
  const Variable x(make({1, 2, 3, 4}, {1, 4}));
  Tape tape({.trace = true});
  const CausalProof proof = prove_causal(tape, kOne, pick(x, kOne));
  EXPECT_THAT(proof.path,
              ElementsAre("token 1 of document 0",
                          "pick gives element 0 of (1, 4), a logit of position 0 of document 0"));
}

TEST(ProveCausal, KnowsTokensThroughAView) {
  Tape tape({.trace = true});
  const Variable last = look_up(Variable(kOne.view(3, {1})));
  const Variable y = product(look_up(Variable(kOne)), last);
  EXPECT_EQ(first_line(prove_causal(tape, kOne, y)), "token 3 of document 0");
}

TEST(ProveCausal, KnowsTokensThatAnotherMaskHides) {
  Tape tape({.trace = true});
  const Variable masked(kOne, Variable::kConstant, SequenceMask(bits({1, 1, 1, 0}, {1, 4})));
  EXPECT_FALSE(prove_causal(tape, kOne, mix(look_up(masked), with_pair(causal(), 0, 2))).holds());
}

TEST(ProveCausal, ReadsLogitsOfSeveralNumbers) {
  Tape tape({.trace = true});
  const Variable x =
      product(Variable(make({1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2})), look_up(Variable(kTwo)));
  const CausalProof proof = prove_causal(tape, kTwo, x);
  EXPECT_THAT(last_line(proof), ::testing::HasSubstr("a logit of position "));
}

TEST(ProveCausal, HoldsForOneToken) {
  const Tensor tokens = Tensor::zeros({1, 1}, DType::kInt64);
  Tape tape({.trace = true});
  EXPECT_TRUE(prove_causal(tape, tokens, look_up(Variable(tokens))).holds());
}

TEST(ProveCausal, DoesNotHoldForNoToken) {
  const auto error = [](const Tensor& tokens, const Tensor& documents) {
    return error_of([&] {
      Tape tape({.trace = true});
      prove_causal(tape, tokens, look_up(Variable(tokens)), documents);
    });
  };
  const std::string none = "[prove_causal] no token belongs to a document: nothing to prove";
  for (const Shape& shape : {Shape{2, 0}, Shape{0, 3}}) {
    EXPECT_EQ(error(Tensor::zeros(shape, DType::kInt64), {}), none);
  }
  EXPECT_EQ(error(kOne, Tensor::full({1, 4}, -1, DType::kInt64)), none) << "padding alone";
}

TEST(ProveCausal, RefusesWhatItCannotProve) {
  const Variable tokens(kOne), x(make({1, 2, 3, 4}, {1, 4}));
  Tape tape({.trace = true});
  const Variable y = look_up(tokens);
  const auto error = [&](const Tensor& of, const Variable& logits, const Tensor& documents = {}) {
    return error_of([&] { prove_causal(tape, of, logits, documents); });
  };
  EXPECT_EQ(error(kOne.clone(), y), "[prove_causal] no operation on the tape reads the tokens");
  EXPECT_EQ(error(kOne, x), "[prove_causal] the logits were not recorded on this tape");
  EXPECT_EQ(error({}, y), "[prove_causal] the tokens was used before it was given a value");
  EXPECT_EQ(error(kOne, {}), "[prove_causal] the logits was used before it was given a value");
  EXPECT_EQ(error(x.value(), y),
            "[prove_causal] tokens must be int32 or int64 [B, S], got float64 (1, 4)");
  EXPECT_EQ(error(kTwo, y),
            "[prove_causal] logits (1, 4) do not begin with the positions (2, 2) of the tokens");
  EXPECT_EQ(error(kOne, y, kTwo),
            "[prove_causal] documents must be int64 (1, 4), got int64 (2, 2)");
  const Tape other;
  EXPECT_EQ(error_of([&] { prove_causal(other, kOne, y); }),
            "[prove_causal] needs a tape that traces: Tape tape({.trace = true})");
}

TEST(ProveCausal, RefusesAnOperationThatMayHideTheTokens) {
  Tape tape({.trace = true});
  const Variable y = look_up(Variable(kOne));
  look_up(Variable(kOne), /*tells=*/false);
  EXPECT_EQ(error_of([&] { prove_causal(tape, kOne, y); }),
            "[prove_causal] look_up did not tell record() all that it was called with, so it may "
            "read tokens");
}

TEST(MarksInView, AreThoseOfTheElementsThatItViews) {
  const Tensor memory = ids({1, 2, 3, 4, 5, 6}, {2, 3}), marks = bits({0, 1, 0, 0, 1, 1}, {2, 3});
  const auto in = [&](const Tensor& view) { return marks_in_view(view, memory, marks); };
  EXPECT_TRUE(test::same_bits(in(memory), marks));
  EXPECT_TRUE(test::same_bits(in(memory[1]), bits({0, 1, 1}, {3})));
  EXPECT_TRUE(test::same_bits(in(memory.reshape({6})), marks.reshape({6})));
  EXPECT_TRUE(test::same_bits(in(memory.clone()), bits({0, 0, 0, 0, 0, 0}, {2, 3})));
  const Tensor part = memory.view(1, {3});
  EXPECT_TRUE(test::same_bits(marks_in_view(memory, part, bits({1, 0, 1}, {3})),
                              bits({0, 1, 0, 1, 0, 0}, {2, 3})));
}

}  // namespace
}  // namespace maskgrad
