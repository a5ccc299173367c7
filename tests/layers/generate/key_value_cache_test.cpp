#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "layers/generate/language_model.hpp"
#include "layers/support.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::mask_of;
using test::same_bits;
using test::SmallLanguageModel;
using ::testing::ElementsAre;

constexpr std::int64_t kVocabulary = SmallLanguageModel::kVocabulary;

std::vector<std::int64_t> random_tokens(Random& random, std::int64_t count) {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(count));
  for (std::int64_t& token : tokens) token = random.integer(0, kVocabulary - 1);
  return tokens;
}

// Logits [S, V] of one sequence, read at once and without a cache.
Tensor logits_of(SmallLanguageModel& model, const std::vector<std::int64_t>& tokens) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  Pass pass;
  return model(Variable(Tensor::from<std::int64_t>(tokens, {1, length})), pass)
      .value()
      .view(0, {length, kVocabulary})
      .clone();
}

// Part of each sequence, with holes before, between and behind.
struct Chunk {
  Tensor tokens, exists;
  std::vector<std::vector<std::int64_t>> places;  // of each sequence's tokens in the chunk
};
Chunk draw_chunk(Random& random, const std::vector<std::vector<std::int64_t>>& sequences,
                 const std::vector<std::int64_t>& read) {
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const std::int64_t width = random.integer(1, 70);
  Chunk chunk{Tensor::zeros({batch, width}, DType::kInt64),
              Tensor::zeros({batch, width}, DType::kBool),
              {}};
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    auto next = static_cast<std::size_t>(read[b]);
    const std::int64_t share = random.integer(0, 4);  // dense, thin, or nothing
    chunk.places.emplace_back();
    for (std::int64_t s = 0; s < width && next < sequences[b].size(); ++s) {
      if (random.integer(0, 3) >= share) continue;
      const std::int64_t at = static_cast<std::int64_t>(b) * width + s;
      chunk.tokens.data<std::int64_t>()[at] = sequences[b][next++];
      chunk.exists.data<bool>()[at] = true;
      chunk.places[b].push_back(s);
    }
  }
  return chunk;
}

// Each sequence is read in chunks, beside others, and every logit is that of the sequence alone.
void read_in_chunks(SmallLanguageModel& model, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<std::int64_t>> sequences;
  std::vector<Tensor> alone;
  for (const std::int64_t length :
       {random.integer(1, 5), random.integer(60, 70), random.integer(100, 150)}) {
    sequences.push_back(random_tokens(random, length));
    alone.push_back(logits_of(model, sequences.back()));
  }
  KeyValueCache cache(3, 150);
  std::vector<std::int64_t> read(3, 0);
  const auto is_done = [&] {
    for (std::size_t b = 0; b < 3; ++b) {
      if (read[b] < std::ssize(sequences[b])) return false;
    }
    return true;
  };
  while (!is_done()) {
    const Chunk chunk = draw_chunk(random, sequences, read);
    Pass pass = Pass::reading(cache);
    const Tensor logits =
        model(Variable(chunk.tokens, Variable::kConstant, SequenceMask(chunk.exists)), pass)
            .value();
    for (std::size_t b = 0; b < 3; ++b) {
      for (const std::int64_t s : chunk.places[b]) {
        const std::int64_t row = static_cast<std::int64_t>(b) * logits.dim(1) + s;
        ASSERT_TRUE(same_bits(logits.view(row * kVocabulary, {kVocabulary}),
                              alone[b].view(read[b] * kVocabulary, {kVocabulary})))
            << "sequence " << b << ", position " << read[b];
        ++read[b];
      }
      ASSERT_EQ(cache.lengths()[b], read[b]);
    }
  }
}

TEST(KeyValueCache, GivesTheBitsOfTheWholeSequencesInChunksOfAnySizeAndBatch) {
  for (const DType dtype : kFloatingDTypes) {
    SmallLanguageModel model(dtype);
    for (std::uint64_t seed = 0; seed < 6; ++seed) read_in_chunks(model, seed);
    const test::WithThreads threads(3);
    read_in_chunks(model, 6);
  }
}

TEST(KeyValueCache, HoldsForRotaryPositionsAndNormsBehind) {
  TransformerOptions options = SmallLanguageModel::usual();
  options.rotary = ops::RotaryOptions();
  options.norm_first = false;
  options.norm = NormKind::kRms;
  SmallLanguageModel model(DType::kFloat32, options);
  for (std::uint64_t seed = 10; seed < 13; ++seed) read_in_chunks(model, seed);
}

TEST(KeyValueCache, LetsSequencesBranchChangePlacesAndEnd) {
  SmallLanguageModel model;
  Random random(1);
  const auto first = random_tokens(random, 9), second = random_tokens(random, 9);
  KeyValueCache cache(2, 20);
  std::vector<std::int64_t> both = first;
  both.insert(both.end(), second.begin(), second.end());
  Pass pass = Pass::reading(cache);
  model(Variable(Tensor::from<std::int64_t>(both, {2, 9})), pass);
  const std::int64_t from[] = {1, 0, 1};
  cache.select(from);
  EXPECT_EQ(cache.batch(), 3);
  EXPECT_THAT(cache.lengths(), ElementsAre(9, 9, 9));
  Pass next = Pass::reading(cache);
  const Tensor logits =
      model(Variable(Tensor::from<std::int64_t>({4, 4, 5}, {3, 1})), next).value();
  const auto expected = [&](std::vector<std::int64_t> tokens, std::int64_t token) {
    tokens.push_back(token);
    return logits_of(model, tokens).view(9 * kVocabulary, {kVocabulary});
  };
  EXPECT_TRUE(same_bits(logits.view(0, {kVocabulary}), expected(second, 4)));
  EXPECT_TRUE(same_bits(logits.view(kVocabulary, {kVocabulary}), expected(first, 4)));
  EXPECT_TRUE(same_bits(logits.view(2 * kVocabulary, {kVocabulary}), expected(second, 5)));
}

// What a layer keeps of `batch` sequences that grow by one position at a time.
TEST(KeyValueCache, GrowsByDoublingUpToItsCapacityAndKeepsWhatItHolds) {
  constexpr std::int64_t kBatch = 3, kCapacity = 50;
  KeyValueCache cache(kBatch, kCapacity);
  std::vector<std::int64_t> rooms;
  for (std::int64_t n = 0; n < kCapacity; ++n) {
    const auto row = [&](std::int64_t features, double sign) {
      Tensor x = Tensor::empty({kBatch, 1, features}, DType::kFloat64);
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        x.data<double>()[i] = sign * static_cast<double>(100 * n + i);
      }
      return x;
    };
    const Tensor places = Tensor::full({kBatch, 1}, n, DType::kInt64);
    const KeyValueCache::Kept& kept = cache.keep("a", row(2, 1), row(5, -1), places, {});
    const std::int64_t room = kept.values.dim(1);
    const Tensor keys = ops::from_key_blocks(kept.keys, room);
    if (rooms.empty() || rooms.back() != room) rooms.push_back(room);
    for (const auto& [all, sign] : {std::pair(keys, 1.0), {kept.values, -1.0}}) {
      const std::int64_t features = all.dim(2);
      for (std::int64_t i = 0; i < all.numel(); ++i) {
        const std::int64_t b = i / (room * features), place = i / features % room;
        const double expected =
            place <= n ? sign * static_cast<double>(100 * place + b * features + i % features) : 0;
        ASSERT_EQ(std::as_const(all).data<double>()[i], expected) << "element " << i;
      }
    }
  }
  EXPECT_THAT(rooms, ElementsAre(16, 32, 50));
}

TEST(KeyValueCache, TakesNoMemoryForWhatWasNotRead) {
  SmallLanguageModel model;
  Random random(2);
  const auto tokens = random_tokens(random, 5);
  KeyValueCache cache(1, std::numeric_limits<std::int64_t>::max());
  const Tensor whole = logits_of(model, tokens);
  for (std::int64_t n = 0; n < 5; ++n) {
    Pass pass = Pass::reading(cache);
    const Tensor logits =
        model(Variable(Tensor::full({1, 1}, tokens[static_cast<std::size_t>(n)], DType::kInt64)),
              pass)
            .value();
    EXPECT_TRUE(
        same_bits(logits.view(0, {kVocabulary}), whole.view(n * kVocabulary, {kVocabulary})));
  }
}

TEST(KeyValueCache, ReadsAChunkThatHoldsNothingAtAll) {
  SmallLanguageModel model;
  KeyValueCache cache(2, 9);
  for (int i = 0; i < 2; ++i) {
    Pass pass = Pass::reading(cache);
    const Variable none(Tensor::zeros({2, 3}, DType::kInt64), Variable::kConstant,
                        mask_of({0, 0, 0, 0, 0, 0}, {2, 3}));
    EXPECT_EQ(model(none, pass).shape(), Shape({2, 3, kVocabulary}));
    EXPECT_THAT(cache.lengths(), ElementsAre(0, 0));
  }
  Pass pass = Pass::reading(cache);
  const Tensor logits =
      model(Variable(Tensor::from<std::int64_t>({3, 1, 4, 1}, {2, 2})), pass).value();
  EXPECT_TRUE(same_bits(logits.view(0, {2, kVocabulary}), logits_of(model, {3, 1})));
  EXPECT_TRUE(same_bits(logits.view(2 * kVocabulary, {2, kVocabulary}), logits_of(model, {4, 1})));
}

TEST(KeyValueCache, RefusesALayerThatRunsTwiceAndAPassThatIsUsedAgain) {
  SmallLanguageModel model;
  KeyValueCache cache(1, 9);
  const Variable tokens(Tensor::zeros({1, 2}, DType::kInt64));
  Pass pass = Pass::reading(cache);
  model(tokens, pass);
  EXPECT_EQ(error_of([&] { model(tokens, pass); }),
            "[cache] layer 'decoder.block0.attention' has 2 positions of sequence 0 and got "
            "position 0: a layer runs once in a pass, and a pass once");
  EXPECT_THAT(cache.lengths(), ElementsAre(2));
  Pass next = Pass::reading(cache);
  const Variable x = model.model.embed(tokens, next);
  model.model.decoder(x, next);
  EXPECT_THAT(error_of([&] { model.model.decoder(x, next); }),
              ::testing::HasSubstr("a layer runs once in a pass"));
}

TEST(KeyValueCache, RefusesAPassAfterOneThatOnlySomeLayersTookPartIn) {
  MultiHeadAttention layer(16, 2, {.kind = AttentionKind::kCausal});
  const ParameterBuffer parameters(layer, DType::kFloat32, 1);
  KeyValueCache cache(1, 9);
  const Variable x(Tensor::zeros({1, 2, 16}, DType::kFloat32));
  const auto run = [&](std::string_view name, Pass& pass) {
    const Scope scope(name);
    return error_of([&] { layer(x, pass); });
  };
  Pass half = Pass::reading(cache);
  EXPECT_EQ(run("first", half), "no error");
  EXPECT_THAT(cache.lengths(), ElementsAre(2));
  Pass next = Pass::reading(cache);
  EXPECT_EQ(run("first", next), "no error");
  EXPECT_EQ(run("second", next),
            "[cache] layer 'second' has 0 positions of sequence 0 and got position 2: a layer runs "
            "once in a pass, and a pass once");
}

TEST(KeyValueCache, CountsWhatAPassReadThatFailedBehindTheLastAttention) {
  SmallLanguageModel model;
  KeyValueCache cache(1, 9);
  const LanguageModel failing = [&](const Variable& tokens, Pass& pass) -> Variable {
    model(tokens, pass);
    fail("model", "fails");
  };
  Pass failed = Pass::reading(cache);
  EXPECT_EQ(error_of([&] {
              failing(Variable(Tensor::zeros({1, 2}, DType::kInt64)), failed);
            }),
            "[model] fails");
  EXPECT_THAT(cache.lengths(), ElementsAre(2));
  const Tensor third = Tensor::from<std::int64_t>({5}, {1, 1});
  Pass next = Pass::reading(cache);
  EXPECT_TRUE(same_bits(model(Variable(third), next).value().view(0, {1, kVocabulary}),
                        logits_of(model, {0, 0, 5}).view(2 * kVocabulary, {1, kVocabulary})));
}

TEST(KeyValueCache, RefusesAPassFromBeforeASelection) {
  SmallLanguageModel model;
  KeyValueCache cache(2, 9);
  const Variable tokens(Tensor::zeros({2, 2}, DType::kInt64));
  Pass first = Pass::reading(cache);
  model(tokens, first);
  Pass stale = Pass::reading(cache);
  const std::int64_t from[] = {1, 0};
  cache.select(from);
  EXPECT_EQ(
      error_of([&] { model(tokens, stale); }),
      "[pass] in layer 'decoder.block0.attention': the cache's sequences were selected anew since "
      "this pass was made; make another");
  Pass next = Pass::reading(cache);
  EXPECT_EQ(error_of([&] { model(tokens, next); }), "no error");
}

TEST(KeyValueCache, CountsNoPositionOfASequenceThatReadsNothing) {
  SmallLanguageModel model;
  constexpr std::int64_t kMost = SmallLanguageModel::kMostPositions;
  KeyValueCache cache(2, kMost);
  std::vector<double> exists(2 * kMost, 1.0);
  exists[2 * kMost - 1] = 0;  // the second sequence has room for one more
  const auto read = [&](std::int64_t length, const SequenceMask& mask) {
    return error_of([&] {
      Pass pass = Pass::reading(cache);
      model(Variable(Tensor::zeros({2, length}, DType::kInt64), Variable::kConstant, mask), pass);
    });
  };
  EXPECT_EQ(read(kMost, mask_of(exists, {2, kMost})), "no error");
  EXPECT_EQ(read(1, mask_of({0, 1}, {2, 1})), "no error");
  EXPECT_THAT(cache.lengths(), ElementsAre(kMost, kMost));
}

TEST(KeyValueCache, RefusesWhatDoesNotFit) {
  SmallLanguageModel model;
  const auto read = [&](KeyValueCache& cache, const Shape& shape) {
    return error_of([&] {
      Pass pass = Pass::reading(cache);
      model(Variable(Tensor::zeros(shape, DType::kInt64)), pass);
    });
  };
  KeyValueCache cache(2, 3);
  EXPECT_EQ(read(cache, {2, 2}), "no error");
  EXPECT_EQ(read(cache, {2, 2}),
            "[cache] in layer 'decoder.block0.attention': holds 3 positions, got one more");
  EXPECT_THAT(cache.lengths(), ElementsAre(2, 2)) << "nothing was changed";
  EXPECT_EQ(read(cache, {2, 1}), "no error");
  EXPECT_EQ(read(cache, {3, 1}),
            "[pass] in layer 'positions': the cache is of 2 sequences, got (3, 1, 16)");
  EXPECT_EQ(error_of([] { KeyValueCache(-1, 2); }),
            "[cache] needs sizes of at least 0, got -1 sequences of 2");
  const std::int64_t from[] = {2};
  EXPECT_EQ(error_of([&] { cache.select(from); }), "[cache] has no sequence 2, but 2");
  KeyValueCache other(2, 3);
  Pass pass = Pass::reading(other);
  EXPECT_EQ(error_of([&] { pass.set_pairs(AttentionMask::causal(2)); }),
            "[pass] a batch that goes on from a cache cannot have pairs of its own");
  EXPECT_EQ(error_of([&] {
              pass.attention(Variable(Tensor::zeros({2, 2}, DType::kFloat32)));
            }),
            "[pass] bidirectional attention cannot go on from a cache: what was read would have to "
            "be read again");
  const ops::Packing packing = ops::packing_of(mask_of({1, 1}, {2, 1}));
  EXPECT_EQ(error_of([&] { pass.on_row(packing); }),
            "[pass] a batch that goes on from a cache cannot be packed");
  Tape tape;
  EXPECT_THAT(read(other, {2, 1}),
              ::testing::StartsWith(
                  "[pass] in layer 'decoder.block0.attention': what reads from a cache cannot "
                  "be recorded on a tape"));
}

}  // namespace
}  // namespace maskgrad
