#include <fstream>
#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/data/text_pieces.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/data/texts.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::random_texts;
using test::same_bits;
using test::ScratchFolder;
using test::Texts;
using test::to_doubles;
using test::whole;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Tokens = std::vector<std::int64_t>;

Tokens ids_of(const Dataset& data) {
  Tokens ids(static_cast<std::size_t>(data.size()));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// One row of a batch, without its padding.
Tokens row(const Tensor& x, std::int64_t b) {
  const auto all = x.values<std::int64_t>();
  Tokens tokens;
  for (std::int64_t s = 0; s < x.dim(1); ++s) {
    const std::int64_t token = all[static_cast<std::size_t>(b * x.dim(1) + s)];
    if (token != kTextPadding) tokens.push_back(token);
  }
  return tokens;
}

TEST(TextPieces, OfAShortTextLookLikeThis) {
  const Texts texts({"abcde", "x"});
  const TextPieces data(texts.documents, whole(*texts.documents), 4);
  ASSERT_EQ(data.size(), 3);
  const Batch batch = data.collate(Tokens{0, 1, 2});
  EXPECT_EQ(batch.inputs.shape(), (Shape{3, 4}));
  EXPECT_EQ(batch.inputs.dtype(), DType::kInt64);
  EXPECT_THAT(to_doubles(batch.inputs),
              ElementsAre(256, 'a', 'b', 'c', 'd', 'e', -1, -1, 256, 'x', -1, -1));
  EXPECT_THAT(to_doubles(batch.targets),
              ElementsAre('a', 'b', 'c', 'd', 'e', 256, -1, -1, 'x', 256, -1, -1));
  EXPECT_THAT(to_doubles(batch.ids), ElementsAre(0, 1, 2));
  EXPECT_EQ(data.collate(Tokens{2}).inputs.shape(), (Shape{1, 2}))
      << "as long as its longest piece";
  EXPECT_EQ(data.collate(Tokens{}).inputs.shape(), (Shape{0, 0}));
}

// Lengths that cut a document within, right at its end, right behind it, and never.
TEST(TextPieces, PredictEachTokenOfADocumentOnceFromThoseRightBeforeIt) {
  const Texts texts(random_texts(1, 40, 30));
  for (const std::int64_t length : {1, 2, 7, 16, 30, 31, 32, 1000}) {
    const TextPieces data(texts.documents, whole(*texts.documents), length);
    const Batch batch = data.collate(ids_of(data));
    EXPECT_LE(batch.inputs.dim(1), length);
    std::int64_t sample = 0;
    for (std::int64_t d = 0; d < texts.documents->size(); ++d) {
      const Tokens all = texts.tokens(d);
      std::int64_t before = 256;
      for (std::size_t at = 0; at < all.size(); ++sample) {
        const std::size_t count = std::min(static_cast<std::size_t>(length), all.size() - at);
        const Tokens want(all.begin() + static_cast<std::ptrdiff_t>(at),
                          all.begin() + static_cast<std::ptrdiff_t>(at + count));
        ASSERT_EQ(row(batch.targets, sample), want) << "length " << length << ", document " << d;
        Tokens inputs = want;
        inputs.insert(inputs.begin(), before);
        inputs.pop_back();
        ASSERT_EQ(row(batch.inputs, sample), inputs) << "length " << length << ", document " << d;
        before = want.back();
        at += count;
      }
    }
    EXPECT_EQ(sample, data.size());
  }
}

TEST(TextPieces, OfASpanBeginWithTheByteBeforeItAndEndWhereItEnds) {
  const Texts texts({"abcdefgh"});
  const TextPieces middle(texts.documents, {{0, 3, 6}}, 10), end(texts.documents, {{0, 8, 9}}, 10);
  EXPECT_THAT(to_doubles(middle.collate(Tokens{0}).inputs), ElementsAre('c', 'd', 'e'));
  EXPECT_THAT(to_doubles(middle.collate(Tokens{0}).targets), ElementsAre('d', 'e', 'f'));
  EXPECT_THAT(to_doubles(end.collate(Tokens{0}).inputs), ElementsAre('h'));
  EXPECT_THAT(to_doubles(end.collate(Tokens{0}).targets), ElementsAre(256));
  EXPECT_EQ(middle.sample(0), (TextSpan{0, 3, 6}));
}

TEST(TextPieces, DependOnTheirNumbersAloneInAnyBatchAndAgain) {
  const Texts texts(random_texts(2, 20, 50));
  const TextPieces data(texts.documents, whole(*texts.documents), 8);
  const Batch all = data.collate(ids_of(data));
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const Batch one = data.collate({&i, 1});
    ASSERT_EQ(row(one.inputs, 0), row(all.inputs, i));
    ASSERT_EQ(row(one.targets, 0), row(all.targets, i));
  }
  const Tokens some = {5, 1, 5};
  EXPECT_TRUE(same_bits(data.collate(some).inputs, data.collate(some).inputs));
  EXPECT_EQ(row(data.collate(some).inputs, 2), row(all.inputs, 5));
}

TEST(TextPieces, OfSeveralPassesAreThoseOfAsManyEpochs) {
  const Texts texts(random_texts(7, 9, 60));
  const TextPieces once(texts.documents, whole(*texts.documents), 16);
  const TextPieces thrice(texts.documents, whole(*texts.documents), 16, 3);
  ASSERT_EQ(thrice.size(), 3 * once.size());
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    for (std::int64_t id = 0; id < thrice.size(); ++id) {
      const std::int64_t pass = 3 * epoch + id / once.size(), piece = id % once.size();
      ASSERT_EQ(thrice.sample(id, epoch), once.sample(piece, pass)) << epoch << ' ' << id;
    }
  }
  EXPECT_NE(thrice.fingerprint(), once.fingerprint());
  const auto with = [&](std::int64_t passes) {
    return error_of([&] { TextPieces(texts.documents, whole(*texts.documents), 16, passes); });
  };
  EXPECT_THAT(with(0), HasSubstr("the passes of an epoch must be at least 1, not 0"));
  EXPECT_THAT(with(INT64_MAX), HasSubstr("the pieces of all passes"));
}

TEST(TextPieces, AreCutElsewhereInOtherEpochsAndHoldEachTokenOnce) {
  const Texts texts(random_texts(6, 20, 60));
  for (const std::int64_t length : {1, 7, 16, 61, 1000}) {
    const TextPieces data(texts.documents, whole(*texts.documents), length);
    std::set<std::int64_t> firsts;  // where the pieces of the first document begin
    for (const std::int64_t epoch : {0, 1, 2, 3, 4, 5, 1000}) {
      const Batch batch = data.collate_in(epoch, ids_of(data));
      std::int64_t sample = 0;
      for (std::int64_t d = 0; d < texts.documents->size(); ++d) {
        const Tokens want = texts.tokens(d);
        Tokens inputs, targets;
        while (targets.size() < want.size()) {
          const Tokens more = row(batch.targets, sample), read = row(batch.inputs, sample);
          ASSERT_FALSE(more.empty());
          ASSERT_LE(std::ssize(more), length);
          targets.insert(targets.end(), more.begin(), more.end());
          inputs.insert(inputs.end(), read.begin(), read.end());
          if (d == 0) firsts.insert(data.sample(sample, epoch).first);
          ++sample;
        }
        EXPECT_EQ(targets, want);
        EXPECT_EQ(inputs.front(), 256);
        EXPECT_EQ(Tokens(inputs.begin() + 1, inputs.end()), Tokens(want.begin(), want.end() - 1));
      }
      EXPECT_EQ(sample, data.size());
      EXPECT_TRUE(same_bits(data.collate_in(epoch, ids_of(data)).inputs, batch.inputs));
    }
    if (length == 7) {
      EXPECT_GT(std::ssize(firsts), texts.documents->bytes(0) / 7 + 1) << "other cuts";
    }
  }
}

TEST(TextPieces, ComeShuffledFromALoaderEachOnceInAnEpoch) {
  const Texts texts(random_texts(3, 30, 40));
  const TextPieces data(texts.documents, whole(*texts.documents), 8);
  DataLoader loader(data, {.batch_size = 7, .shuffle = true, .seed = 5});
  std::vector<Tokens> seen, want;
  for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
    const Batch batch = loader.next();
    for (std::int64_t i = 0; i < batch.size(); ++i) seen.push_back(row(batch.inputs, i));
  }
  const Batch all = data.collate(ids_of(data));
  for (std::int64_t i = 0; i < data.size(); ++i) want.push_back(row(all.inputs, i));
  EXPECT_NE(seen, want);
  EXPECT_THAT(seen, ::testing::UnorderedElementsAreArray(want));
}

TEST(TextPieces, StandAnywhereInALargeDocument) {
  const ScratchFolder folder;
  const fs::path path = folder / "large";
  constexpr std::int64_t kBytes = 40'000'000, kLength = 100;
  {
    std::ofstream file(path, std::ios::binary);
    for (std::int64_t i = 0; i < kBytes / 10; ++i) file << fmt::format("{:09} ", i);
  }
  const auto documents = std::make_shared<TextDocuments>(path);
  const TextPieces data(documents, {{0, 0, kBytes + 1}}, kLength);
  ASSERT_EQ(data.size(), kBytes / kLength + 1);
  const Batch batch = data.collate(Tokens{0, 123456, kBytes / kLength});
  EXPECT_EQ(row(batch.targets, 1).front(), '0');
  const Tokens digits = row(batch.targets, 1);
  EXPECT_EQ(std::string(digits.begin(), digits.begin() + 20), "001234560 001234561 ");
  EXPECT_THAT(row(batch.targets, 2), ElementsAre(256));
}

TEST(TextPieces, SayThatAFileWasCutShortAfterItWasRead) {
  const Texts texts({std::string(200000, 'x')});
  const TextPieces data(texts.documents, whole(*texts.documents), 100);
  fs::resize_file(texts.path(0), 4096);
  EXPECT_NO_THROW(data.collate(Tokens{3}));
  EXPECT_EQ(error_of([&] {
              data.collate(Tokens{3, 1999});
            }),
            "[file] cannot read '" + texts.path(0).string() +
                "' at byte 199899: it became shorter since it was opened, or the disk failed");
}

TEST(TextPieces, HaveAFingerprintOfTheBytesTheSpansAndTheLength) {
  const Texts texts({"abc", "de"});
  const auto print = [](const Texts& of, std::vector<TextSpan> spans, std::int64_t length) {
    return TextPieces(of.documents, std::move(spans), length).fingerprint();
  };
  const std::vector<TextSpan> all = whole(*texts.documents);
  const std::string first = print(texts, all, 4);
  EXPECT_THAT(first, ::testing::MatchesRegex("2 samples, crc32c [0-9a-f]{8}"));
  EXPECT_EQ(print(Texts({"abc", "de"}), all, 4), first) << "in another folder";
  EXPECT_EQ(print(Texts({"de", "abc"}), {{1, 0, 4}, {0, 0, 3}}, 4), first) << "of other names";
  const std::set<std::string> prints = {
      first,
      print(texts, all, 5),
      print(texts, {{0, 0, 4}, {1, 0, 2}}, 4),
      print(texts, {{0, 0, 4}, {1, 1, 3}}, 4),
      print(texts, {{1, 0, 3}, {0, 0, 4}}, 4),
      print(Texts({"abd", "de"}), all, 4),
  };
  EXPECT_THAT(prints, SizeIs(6));
}

TEST(TextPieces, RefuseSamplesSpansAndLengthsThatAreNone) {
  const Texts texts({"abc"});
  const auto error = [&](std::vector<TextSpan> spans, std::int64_t length) {
    return error_of([&] { TextPieces data(texts.documents, std::move(spans), length); });
  };
  EXPECT_EQ(error({{0, 0, 4}}, 0), "[text] the length of pieces must be at least 1, not 0");
  EXPECT_EQ(error({{0, 0, 5}}, 2), "[text] document 0 has no tokens 0 to 4: it has 4");
  EXPECT_THAT(error({{0, 2, 2}}, 2), HasSubstr("document 0 has no tokens 2 to 1"));
  EXPECT_THAT(error({{0, -1, 2}}, 2), HasSubstr("document 0 has no tokens -1 to 1"));
  EXPECT_EQ(error({{1, 0, 1}}, 2), "[text] there is no document 1: there are 1");
  EXPECT_EQ(error_of([] { TextPieces data(nullptr, {}, 1); }),
            "[text] the documents of pieces was used before it was given a value");
  const TextPieces data(texts.documents, {{0, 0, 4}}, INT64_MAX);
  EXPECT_EQ(data.size(), 1);
  for (const std::int64_t id : {std::int64_t{1}, std::int64_t{-1}, INT64_MAX}) {
    EXPECT_EQ(error_of([&] {
                data.collate({&id, 1});
              }),
              fmt::format("[text] there is no sample {}: there are 1", id));
  }
  EXPECT_EQ(TextPieces(texts.documents, {}, 1).size(), 0);
}

}  // namespace
}  // namespace maskgrad
