// What a training step moves: bytes that it copies, fills, and takes from the pool. The figures are
// upper bounds from the shapes of the blog's model; who removes a copy lowers its constant here.
#include <algorithm>
#include <numeric>
#include <tuple>

#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/pool.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "support/tensors.hpp"
#include "train/blog_run.hpp"

namespace maskgrad {
namespace {

using test::BlogRun;

constexpr std::int64_t kLength = 20, kFeatures = 15, kHidden = 150, kVocabulary = 20;
constexpr std::int64_t kVectors = kLength * kFeatures;

// Elements filled with 0 or 1 in a step: the gradients of the embedding (its table is too small to
// be worth a list of rows), the loss and what backward starts from.
constexpr std::int64_t kFilledOnce = kVocabulary * kFeatures + 2;
// For each sample: what becomes of the logits in the loss.
constexpr std::int64_t kFilledEach = kVocabulary;
// Bytes, for each sample or once: the intervals of an attention mask, two a row while it is made,
// then one. A mask without padding is the same for all.
constexpr std::int64_t kMaskBytes = kLength * (2 + 1) * 2 * 4;

// Elements of the results of all operations for each sample: embedding, queries, keys, values,
// attention's output, two numbers for each of its rows; the hidden layer, the logits, and the
// loss's probabilities.
constexpr std::int64_t kResultsEach = 5 * kVectors + 2 * kLength + kHidden + 2 * kVocabulary;
// What a head of attention computes in, forward and backward, with up to 32 queries side by side:
// queries, three rows, two tables of pairs and the output; the same and a third table, the output's
// gradient and that of the queries. Handed back as soon as the head is done.
constexpr std::int64_t kScratchEach = 32 * ((kFeatures + 2 + 2 * kLength + kFeatures + 2) +
                                            (kFeatures + 2 + 3 * kLength + 2 * kFeatures + 3));
// Sums over 16 samples each: the gradients of the three small matrices.
constexpr std::int64_t kPartialSums = 3 * kFeatures * kFeatures;
// Weights, transposed for the gradients of what they were multiplied with, in whole vectors of up
// to 16.
constexpr std::int64_t kTransposed = kHidden * 304 + kVocabulary * 160 + 3 * kFeatures * 16;
// Bytes that are not elements of results: the tape's nodes and slots, headers of tensors, masks of
// small batches.
constexpr std::int64_t kTapeBytes = 24 * 1024;

struct Moved {
  std::int64_t copied, filled, allocated;
};

std::int64_t difference(std::uint64_t after, std::uint64_t before) {
  return static_cast<std::int64_t>(after - before);
}

// Of one step, the least of several: the loader's thread moves bytes of its own until it is ahead.
Moved moved_by_a_step(MaskAxis axis, DType dtype, std::int64_t batch_size) {
  BlogRun run(axis, dtype, {.batch_size = batch_size});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(batch_size));
  std::iota(ids.begin(), ids.end(), 0);
  const Batch batch = run.data.collate(ids);
  Moved least{1 << 30, 1 << 30, 1 << 30};
  for (int step = 0; step < 8; ++step) {
    const Traffic traffic = Traffic::so_far();
    const Pool::Stats pool = Pool::cpu().stats();
    run.trainer.step(batch);
    const Traffic now = Traffic::so_far();
    least = {std::min(least.copied, difference(now.copied, traffic.copied)),
             std::min(least.filled, difference(now.filled, traffic.filled)),
             std::min(least.allocated,
                      difference(Pool::cpu().stats().bytes_handed_out, pool.bytes_handed_out))};
  }
  return least;
}

class StepTraffic : public ::testing::TestWithParam<std::tuple<MaskAxis, DType>> {
 protected:
  MaskAxis axis() const { return std::get<0>(GetParam()); }
  Moved of_a_step(std::int64_t batch_size) const {
    return moved_by_a_step(axis(), std::get<1>(GetParam()), batch_size);
  }
  const std::int64_t bytes = static_cast<std::int64_t>(size_of(std::get<1>(GetParam())));
};
INSTANTIATE_TEST_SUITE_P(Blog, StepTraffic,
                         ::testing::Combine(::testing::Values(MaskAxis::kKey, MaskAxis::kQuery,
                                                              MaskAxis::kNone),
                                            ::testing::ValuesIn(test::kFloatingDTypes)));

TEST_P(StepTraffic, CopiesNothing) {
  for (const std::int64_t batch_size : {1, 2, 10, 100}) {
    EXPECT_EQ(of_a_step(batch_size).copied, 0) << batch_size;
  }
}

TEST_P(StepTraffic, ClearsNothingButWhatIsListedHere) {
  for (const std::int64_t batch_size : {1, 2, 10, 100}) {
    EXPECT_LE(of_a_step(batch_size).filled,
              kFilledOnce * bytes + batch_size * (kFilledEach * bytes + kMaskBytes))
        << batch_size;
  }
}

// Each result once, its gradient once; the pool rounds up by a quarter at most.
TEST_P(StepTraffic, AllocatesInProportionToTheBatch) {
  const std::int64_t each =
      (2 * kResultsEach + kScratchEach + kPartialSums / 16) * bytes + 2 * kMaskBytes;
  const std::int64_t once = kTapeBytes + (kTransposed + kPartialSums) * bytes;
  for (const std::int64_t batch_size : {1, 2, 10, 100, 400}) {
    EXPECT_LE(of_a_step(batch_size).allocated, (once + batch_size * each) * 5 / 4) << batch_size;
  }
}

}  // namespace
}  // namespace maskgrad
