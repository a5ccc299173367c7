#include <cmath>
#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/text_pieces.hpp>

#include "support/errors.hpp"
#include "train/data/texts.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::random_texts;
using test::Texts;
using test::whole;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::int64_t bytes_of(const std::vector<TextSpan>& spans) {
  return std::accumulate(
      spans.begin(), spans.end(), std::int64_t{0},
      [](std::int64_t sum, const TextSpan& s) { return sum + s.last - s.first - 1; });
}

TEST(TextSplit, HoldsOutWholeDocumentsOfAboutTheShare) {
  const Texts texts(random_texts(4, 500, 200));
  const auto total = static_cast<double>(texts.documents->bytes());
  for (const double share : {0.05, 0.1, 0.5, 0.9}) {
    const TextSplit split = split_text(*texts.documents, share);
    std::vector<TextSpan> both = split.training;
    both.insert(both.end(), split.held_out.begin(), split.held_out.end());
    EXPECT_THAT(both, ::testing::UnorderedElementsAreArray(whole(*texts.documents)))
        << "each document stands on one side, whole";
    EXPECT_LE(static_cast<double>(bytes_of(split.held_out)), share * total);
    EXPECT_GE(static_cast<double>(bytes_of(split.held_out)), share * total - 200);
    EXPECT_FALSE(split.within_document);
    const auto by_document = [](const TextSpan& a, const TextSpan& b) {
      return a.document < b.document;
    };
    EXPECT_TRUE(std::is_sorted(split.held_out.begin(), split.held_out.end(), by_document));
    EXPECT_TRUE(std::is_sorted(split.training.begin(), split.training.end(), by_document));
  }
}

TEST(TextSplit, IsOfTheContentsWhateverTheFilesAreCalled) {
  std::vector<std::string> texts = random_texts(5, 100, 50);
  const auto held_out = [](const std::vector<std::string>& all) {
    const Texts files(all);
    std::set<std::string> held;
    for (const TextSpan& span : split_text(*files.documents, 0.2).held_out) {
      held.insert(all[static_cast<std::size_t>(span.document)]);
    }
    return held;
  };
  const std::set<std::string> first = held_out(texts);
  std::reverse(texts.begin(), texts.end());
  EXPECT_EQ(held_out(texts), first);
}

TEST(TextSplit, KeepsEqualDocumentsOnOneSide) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::vector<std::string> all = random_texts(seed, 15, 50);
    const std::vector<std::string> once = all;
    for (int copy = 0; copy < 3; ++copy) all.insert(all.end(), once.begin(), once.end());
    const Texts texts(all);
    const TextSplit split = split_text(*texts.documents, 0.3);
    std::set<std::string> held;
    for (const TextSpan& span : split.held_out)
      held.insert(all[static_cast<std::size_t>(span.document)]);
    EXPECT_THAT(held, ::testing::Not(IsEmpty()));
    for (const TextSpan& span : split.training) {
      EXPECT_FALSE(held.contains(all[static_cast<std::size_t>(span.document)])) << seed;
    }
  }
}

TEST(TextSplit, HoldsOutTheEndOfTheLargestDocumentWhereNoneFits) {
  const Texts one({std::string(999, 'x')});
  const TextSplit split = split_text(*one.documents, 0.1);
  EXPECT_THAT(split.training, ElementsAre(TextSpan{0, 0, 900}));
  EXPECT_THAT(split.held_out, ElementsAre(TextSpan{0, 900, 1000}));
  EXPECT_TRUE(split.within_document);
  const Texts three({std::string(400, 'x'), std::string(500, 'y'), std::string(300, 'z')});
  const TextSplit of_three = split_text(*three.documents, 0.1);
  EXPECT_THAT(of_three.training,
              ElementsAre(TextSpan{0, 0, 401}, TextSpan{1, 0, 381}, TextSpan{2, 0, 301}));
  EXPECT_THAT(of_three.held_out, ElementsAre(TextSpan{1, 381, 501}));
  EXPECT_TRUE(of_three.within_document);
}

TEST(TextSplit, TakesTheEndThatIsHeldOutFromEveryCopyOfItsDocument) {
  const std::string text = random_texts(6, 1, 4000).front();
  const Texts texts({text, text, text.substr(0, 3)});
  const TextSplit split = split_text(*texts.documents, 0.001);
  ASSERT_EQ(split.held_out.size(), 1U);
  for (const TextSpan& span : split.training) {
    if (span.document == 2) continue;
    EXPECT_EQ(span.last, split.held_out.front().first) << span.document;
  }
}

TEST(TextSplit, LeavesSomethingOnBothSidesOfTheSmallestDocument) {
  const Texts texts({"xy"});
  for (const double share : {1e-9, 0.4, 0.499}) {
    const TextSplit split = split_text(*texts.documents, share);
    EXPECT_THAT(split.training, ElementsAre(TextSpan{0, 0, 1})) << share;
    EXPECT_THAT(split.held_out, ElementsAre(TextSpan{0, 1, 3})) << share << ": a byte and the end";
  }
}

TEST(TextSplit, RefusesToHoldOutAnythingOfASingleByte) {
  const Texts one({"x"}), three({"x", "y", "z"});
  EXPECT_THAT(error_of([&] { split_text(*one.documents, 0.1); }),
              HasSubstr("is too short to train on a part of it and to hold out the rest: it must "
                        "have 2 bytes at least"));
  EXPECT_THAT(error_of([&] { split_text(*three.documents, 0.1); }), HasSubstr("too short"));
  EXPECT_EQ(split_text(*one.documents, 0).training, whole(*one.documents));
  EXPECT_EQ(split_text(*three.documents, 0.4).held_out.size(), 1U) << "a whole document";
}

TEST(TextSplit, HoldsOutNothingForAShareOfNothingAndRefusesOthers) {
  const Texts texts({"abc", "d"});
  const TextSplit split = split_text(*texts.documents, 0);
  EXPECT_EQ(split.training, whole(*texts.documents));
  EXPECT_THAT(split.held_out, IsEmpty());
  EXPECT_FALSE(split.within_document);
  for (const double share : {-0.1, 1.0, std::nan("")}) {
    EXPECT_THAT(error_of([&] { split_text(*texts.documents, share); }),
                HasSubstr("[text] the share that is held out must be in [0, 1), not"));
  }
}

}  // namespace
}  // namespace maskgrad
