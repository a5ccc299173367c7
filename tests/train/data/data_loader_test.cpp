#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>

#include "support/errors.hpp"
#include "support/limited_memory.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;
using ::testing::ElementsAre;

// Sample i holds the token 100 + i and the target i.
SequenceDataset numbered(std::int64_t count) {
  SequenceDataset dataset(2);
  for (std::int64_t i = 0; i < count; ++i) dataset.add(std::vector<std::int64_t>{100 + i}, i);
  return dataset;
}

// The numbers of the next samples of one epoch, and how large its batches were.
std::pair<std::vector<double>, std::vector<std::int64_t>> read_epoch(DataLoader& loader) {
  std::vector<double> samples;
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const Batch batch = loader.next();
    const std::vector<double> targets = to_doubles(batch.targets);
    for (std::size_t j = 0; j < targets.size(); ++j) {
      EXPECT_EQ(to_doubles(batch.inputs)[2 * j], 100 + targets[j]);
    }
    samples.insert(samples.end(), targets.begin(), targets.end());
    sizes.push_back(batch.size());
  }
  return {samples, sizes};
}

std::vector<double> in_file_order(std::int64_t count) {
  std::vector<double> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0.0);
  return order;
}

TEST(DataLoader, SaysWhichSamplesItGivesAndLetsThemBeTransformed) {
  SequenceDataset dataset(2);
  for (std::int64_t i = 0; i < 5; ++i) dataset.add(std::vector<std::int64_t>{i}, 10 * i);
  const auto negate_odd_epochs = [](Batch& batch) {
    if (batch.epoch % 2 == 1) batch.inputs.fill(-1);
  };
  DataLoader loader(dataset, {.batch_size = 2, .shuffle = true, .transform = negate_odd_epochs});
  for (std::int64_t i = 0; i < 12; ++i) {
    const Batch batch = loader.next();
    EXPECT_EQ(batch.epoch, i / 3);
    for (std::int64_t b = 0; b < batch.size(); ++b) {
      const std::int64_t id = batch.ids.data<std::int64_t>()[b];
      EXPECT_EQ(batch.targets.data<std::int64_t>()[b], 10 * id);
      EXPECT_EQ(batch.inputs.data<std::int64_t>()[2 * b], batch.epoch % 2 == 1 ? -1 : id);
    }
  }
}

TEST(DataLoader, GivesFileOrderAndASmallerLastBatchInEachEpoch) {
  const SequenceDataset dataset = numbered(10);
  DataLoader loader(dataset, {.batch_size = 4});
  EXPECT_EQ(loader.batches_per_epoch(), 3);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto [samples, sizes] = read_epoch(loader);
    EXPECT_EQ(samples, in_file_order(10));
    EXPECT_THAT(sizes, ElementsAre(4, 4, 2));
  }
}

TEST(DataLoader, MakesOneBatchOfAllWhereBatchesMayBeOfAnySize) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(count_batches(7, kMost), 1);
  EXPECT_EQ(count_batches(kMost, kMost), 1);
  EXPECT_EQ(count_batches(kMost, 2), (kMost - 1) / 2 + 1);
  EXPECT_EQ(count_batches(6, 3), 2);
  EXPECT_EQ(count_batches(7, 3), 3);
  const SequenceDataset dataset = numbered(7);
  DataLoader loader(dataset, {.batch_size = kMost});
  EXPECT_EQ(loader.batches_per_epoch(), 1);
  EXPECT_EQ(loader.next().size(), 7);
  EXPECT_EQ(loader.position(), (DataPosition{1, 0}));
}

TEST(DataLoader, TellsThePositionOfTheNextBatch) {
  const SequenceDataset dataset = numbered(5);
  DataLoader loader(dataset, {.batch_size = 2});
  for (const DataPosition expected :
       {DataPosition{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {2, 0}}) {
    EXPECT_EQ(loader.position(), expected);
    loader.next();
  }
}

TEST(DataLoader, ShowsTheNextBatchWithoutTakingIt) {
  const SequenceDataset dataset = numbered(5);
  DataLoader loader(dataset, {.batch_size = 2, .shuffle = true});
  for (int i = 0; i < 200; ++i) {
    const Batch shown = loader.peek();
    EXPECT_TRUE(test::same_bits(loader.peek().targets, shown.targets));
    const DataPosition position = loader.position();
    EXPECT_TRUE(test::same_bits(loader.next().targets, shown.targets)) << i;
    EXPECT_NE(loader.position(), position);
  }
}

// Writes the error of a loader that may have no thread.
[[noreturn]] void load_without_threads() {
  const SequenceDataset dataset = numbered(5);
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_NPROC, &none);
  // The superuser has no limit.
  if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(1);
  const std::string text = error_of([&] { DataLoader(dataset, {}); });
  std::fprintf(stderr, "%s\n", text.c_str());
  ::_exit(0);
}

// In a process of its own, which it takes the right to threads.
TEST(DataLoader, SaysThatTheSystemRefusesItsThread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      load_without_threads(), ::testing::ExitedWithCode(0),
      "\\[data\\] cannot start the thread that reads ahead: Resource temporarily unavailable");
}

TEST(DataLoader, ShufflesEachEpochIntoAnotherPermutation) {
  const SequenceDataset dataset = numbered(50);
  DataLoader loader(dataset, {.batch_size = 7, .shuffle = true, .seed = 1});
  std::vector<std::vector<double>> orders;
  for (int epoch = 0; epoch < 4; ++epoch) {
    auto [samples, sizes] = read_epoch(loader);
    for (const auto& earlier : orders) EXPECT_NE(samples, earlier);
    EXPECT_NE(samples, in_file_order(50));
    orders.push_back(samples);
    std::sort(samples.begin(), samples.end());
    EXPECT_EQ(samples, in_file_order(50));
  }
}

TEST(DataLoader, ShufflesAllOrdersEquallyOften) {
  const SequenceDataset dataset = numbered(3);
  DataLoader loader(dataset, {.batch_size = 3, .shuffle = true, .seed = 4});
  std::map<std::vector<double>, int> seen;
  constexpr int kEpochs = 6000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) ++seen[to_doubles(loader.next().targets)];
  ASSERT_EQ(seen.size(), 6U);
  double chi_square = 0;
  for (const auto& [order, count] : seen) chi_square += (count - 1000.0) * (count - 1000.0) / 1000;
  EXPECT_LT(chi_square, 25.7);  // exceeded once in 10,000 times with 5 degrees of freedom
}

TEST(DataLoader, ShufflesByItsSeedAlone) {
  const SequenceDataset dataset = numbered(40);
  const auto order = [&](std::uint64_t seed, std::int64_t batch_size) {
    DataLoader loader(dataset, {.batch_size = batch_size, .shuffle = true, .seed = seed});
    return read_epoch(loader).first;
  };
  EXPECT_EQ(order(1, 4), order(1, 4));
  EXPECT_EQ(order(1, 4), order(1, 9)) << "the size of batches only cuts the order";
  EXPECT_NE(order(1, 4), order(2, 4));
}

TEST(DataLoader, GoesOnFromAnyPositionWithTheSameBatches) {
  const SequenceDataset dataset = numbered(11);
  const DataLoader::Options options = {.batch_size = 3, .shuffle = true, .seed = 5};
  DataLoader unbroken(dataset, options);
  std::vector<std::vector<double>> batches;
  for (int i = 0; i < 20; ++i) batches.push_back(to_doubles(unbroken.next().targets));
  for (std::size_t start = 0; start < 12; ++start) {
    const auto batch = static_cast<std::int64_t>(start);
    DataLoader loader(dataset, options, {batch / 4, batch % 4});
    for (std::size_t i = start; i < start + 8; ++i) {
      EXPECT_EQ(to_doubles(loader.next().targets), batches[i]) << start << " " << i;
    }
  }
}

TEST(DataLoader, MayGoAtAnyTimeWithoutHanging) {
  const SequenceDataset dataset = numbered(100);
  for (int batches = 0; batches < 200; ++batches) {
    DataLoader loader(dataset, {.batch_size = 1, .shuffle = true});
    for (int i = 0; i < batches; ++i) loader.next();
  }
}

TEST(DataLoader, PassesOnWhatWentWrongWhileReading) {
  // Two samples of this length are more elements than a tensor can have.
  SequenceDataset dataset(std::int64_t{1} << 62);
  dataset.add(std::vector<std::int64_t>{1}, 0);
  dataset.add(std::vector<std::int64_t>{2}, 1);
  DataLoader loader(dataset, {.batch_size = 2});
  const std::string text = error_of([&] { loader.next(); });
  EXPECT_THAT(text, ::testing::StartsWith("[shape]"));
  EXPECT_EQ(error_of([&] { loader.next(); }), text) << "and again";
  EXPECT_EQ(loader.position(), DataPosition{});
}

TEST(DataLoader, GivesOneBatchWhereABatchMayHoldMoreThanThereIs) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const SequenceDataset dataset = numbered(5);
  for (const std::int64_t batch_size : {std::int64_t{5}, std::int64_t{6}, kMost - 1, kMost}) {
    DataLoader loader(dataset, {.batch_size = batch_size});
    EXPECT_EQ(loader.batches_per_epoch(), 1);
    EXPECT_EQ(read_epoch(loader).first, in_file_order(5));
    EXPECT_EQ(loader.position(), (DataPosition{1, 0}));
  }
}

TEST(DataLoader, SaysWhenTheSystemStartsNoThreadForIt) {
  if (!test::kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all the memory";
  const SequenceDataset dataset = numbered(4);
  // The C library keeps the stacks of threads that have ended for the next ones, up to 40 MiB:
  // these take them. They have read a batch before memory gets short.
  std::vector<std::unique_ptr<DataLoader>> loaders;
  for (int i = 0; i < 30; ++i) {
    loaders.push_back(std::make_unique<DataLoader>(dataset, DataLoader::Options{}));
    loaders.back()->peek();
  }
  const std::string text = error_of([&] {
    const test::LimitedMemory limited(rlim_t{1} << 20);  // less than a stack
    const DataLoader one_more(dataset, {});
  });
  EXPECT_THAT(text, ::testing::StartsWith("[data] cannot start the thread that reads ahead: "));
  for (const auto& loader : loaders) EXPECT_EQ(loader->next().size(), 1);
}

TEST(DataLoader, RefusesWhatGivesNoBatch) {
  const SequenceDataset dataset = numbered(4);
  const SequenceDataset empty;
  EXPECT_EQ(error_of([&] { DataLoader(empty, {}); }), "[data] there are no samples");
  EXPECT_EQ(error_of([&] { DataLoader(dataset, {.batch_size = 0}); }),
            "[data] batch_size must be at least 1, not 0");
  EXPECT_EQ(error_of([&] {
              DataLoader(dataset, {.batch_size = 3}, {1, 2});
            }),
            "[data] there is no batch 2 in epoch 1: an epoch has 2");
  EXPECT_EQ(error_of([&] {
              DataLoader(dataset, {.batch_size = 3}, {-1, 0});
            }),
            "[data] there is no batch 0 in epoch -1: an epoch has 2");
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(error_of([&] {
              DataLoader(dataset, {.batch_size = 3}, {kMost, 0});
            }),
            "[data] there is no batch 0 in epoch 9223372036854775807: an epoch has 2");
}

}  // namespace
}  // namespace maskgrad
