#include <limits>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/sequence_dataset.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;
using ::testing::ElementsAre;
using Tokens = std::vector<std::int64_t>;

SequenceDataset make_dataset(std::int64_t length, std::int64_t pad = 0) {
  SequenceDataset dataset(length, pad);
  dataset.add(Tokens{1, 2, 3}, 10);
  dataset.add(Tokens{}, 20);
  dataset.add(Tokens{4}, 30);
  return dataset;
}

TEST(SequenceDataset, FillsShorterSequencesUpToTheFixedLength) {
  const Batch batch = make_dataset(4).collate(Tokens{0, 1, 2});
  EXPECT_EQ(batch.size(), 3);
  EXPECT_EQ(batch.inputs.shape(), (Shape{3, 4}));
  EXPECT_EQ(batch.inputs.dtype(), DType::kInt64);
  EXPECT_THAT(to_doubles(batch.inputs), ElementsAre(1, 2, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0));
  EXPECT_THAT(to_doubles(batch.targets), ElementsAre(10, 20, 30));
}

TEST(SequenceDataset, MakesABatchAsLongAsItsLongestSequence) {
  const SequenceDataset dataset = make_dataset(0, -1);
  EXPECT_THAT(to_doubles(dataset.collate(Tokens{2, 0}).inputs), ElementsAre(4, -1, -1, 1, 2, 3));
  EXPECT_THAT(to_doubles(dataset.collate(Tokens{2, 1}).inputs), ElementsAre(4, -1));
  EXPECT_EQ(dataset.collate(Tokens{1}).inputs.shape(), (Shape{1, 0}));
}

TEST(SequenceDataset, DropsTokensFromItsSamples) {
  const Tokens stop_words = {2, 4, 7};
  const Batch batch = make_dataset(0).without(stop_words).collate(Tokens{0, 1, 2});
  EXPECT_EQ(batch.inputs.shape(), (Shape{3, 2}));
  EXPECT_THAT(to_doubles(batch.inputs), ElementsAre(1, 3, 0, 0, 0, 0));
  EXPECT_THAT(to_doubles(batch.targets), ElementsAre(10, 20, 30));
  EXPECT_EQ(make_dataset(5).without(stop_words).collate(Tokens{0}).inputs.shape(), (Shape{1, 5}));
}

TEST(SequenceDataset, TakesIndicesInTheirOrderAndMoreThanOnce) {
  const Batch batch = make_dataset(3).collate(Tokens{2, 0, 2});
  EXPECT_THAT(to_doubles(batch.inputs), ElementsAre(4, 0, 0, 1, 2, 3, 4, 0, 0));
  EXPECT_THAT(to_doubles(batch.targets), ElementsAre(30, 10, 30));
}

TEST(SequenceDataset, RefusesSamplesThatItDoesNotHave) {
  const SequenceDataset dataset = make_dataset(3);
  for (const std::int64_t index :
       {std::int64_t{3}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(error_of([&] {
                dataset.collate({&index, 1});
              }),
              fmt::format("[data] there is no sample {}: there are 3", index));
  }
  EXPECT_EQ(error_of([] { SequenceDataset(-1); }),
            "[data] the length of samples must not be negative: -1");
}

TEST(SequenceDataset, HasAFingerprintOfAllThatABatchShows) {
  const std::string print = make_dataset(4).fingerprint();
  EXPECT_THAT(print, ::testing::MatchesRegex("3 samples, crc32c [0-9a-f]+"));
  EXPECT_EQ(make_dataset(4).fingerprint(), print);
  std::set<std::string> others = {print, make_dataset(5).fingerprint(),
                                  make_dataset(4, 1).fingerprint()};
  const auto of = [](const std::vector<Tokens>& tokens, const Tokens& targets) {
    SequenceDataset dataset(4);
    for (std::size_t i = 0; i < tokens.size(); ++i) dataset.add(tokens[i], targets[i]);
    return dataset.fingerprint();
  };
  EXPECT_EQ(of({{1, 2, 3}, {}, {4}}, {10, 20, 30}), print);
  others.insert(of({{1, 2}, {3}, {4}}, {10, 20, 30}));       // cut elsewhere
  others.insert(of({{1, 2, 4}, {}, {3}}, {10, 20, 30}));     // two tokens exchanged
  others.insert(of({{1, 2, 3}, {}, {4}}, {10, 20, 31}));     // another target
  others.insert(of({{1, 2, 3}, {}, {4, 0}}, {10, 20, 30}));  // a pad token more
  others.insert(of({{}, {1, 2, 3}, {4}}, {20, 10, 30}));     // another order
  others.insert(of({{1, 2, 3}, {}}, {10, 20}));              // a sample less
  EXPECT_EQ(others.size(), 9U);
}

TEST(SequenceDataset, RefusesASequenceThatIsTooLongAndStaysAsItWas) {
  SequenceDataset dataset = make_dataset(3);
  EXPECT_EQ(error_of([&] {
              dataset.add(Tokens{1, 2, 3, 4}, 0);
            }),
            "[data] sample 3 has 4 tokens, at most 3 fit");
  EXPECT_EQ(dataset.size(), 3);
  dataset.add(Tokens{7, 8, 9}, 40);
  EXPECT_THAT(to_doubles(dataset.collate(Tokens{3}).inputs), ElementsAre(7, 8, 9));
}

}  // namespace
}  // namespace maskgrad
