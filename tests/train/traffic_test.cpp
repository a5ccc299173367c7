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
constexpr std::int64_t kVectors = kLength * kFeatures, kPairs = kLength * kLength;

// Elements copied in a step. The tape sums the gradients of the two biases over the batch in memory
// of its own, and then copies them to the flat buffer.
constexpr std::int64_t kCopiedOnce = kHidden + kVocabulary;
// For each sample, with the key mask only: the backward rules of the three matrix products that get
// a masked operand write 0 into the holes of a copy (the weights, the queries' input, their
// output).
constexpr std::int64_t kCopiedEach = kPairs + 2 * kVectors;

// Elements filled with 0 or 1 in a step: the gradients of the embedding (its table is too small to
// be worth a list of rows) and of the biases, the loss and what backward starts from.
constexpr std::int64_t kFilledOnce = kVocabulary * kFeatures + kHidden + kVocabulary + 2;
// For each sample: what becomes of the logits in the loss.
constexpr std::int64_t kFilledEach = kVocabulary;

// Elements of the results of all operations for each sample: embedding, queries before and after
// they are scaled, keys, values, attention's output; scores and weights; product, sum and relu of
// the hidden layer; product and sum of the last one, and the loss's probabilities.
constexpr std::int64_t kResultsEach =
    6 * kVectors + 2 * kPairs + 3 * kHidden + 2 * kVocabulary + kVocabulary;
// Bytes that are not elements of results: the tape's nodes and slots, headers of tensors, masks of
// small batches, the sums of the biases' gradients.
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
  std::int64_t copied_each() const { return axis() == MaskAxis::kKey ? kCopiedEach : 0; }
  Moved of_a_step(std::int64_t batch_size) const {
    return moved_by_a_step(axis(), std::get<1>(GetParam()), batch_size);
  }
  const std::int64_t bytes = static_cast<std::int64_t>(size_of(std::get<1>(GetParam())));
};
INSTANTIATE_TEST_SUITE_P(Blog, StepTraffic,
                         ::testing::Combine(::testing::Values(MaskAxis::kKey, MaskAxis::kQuery,
                                                              MaskAxis::kNone),
                                            ::testing::ValuesIn(test::kFloatingDTypes)));

TEST_P(StepTraffic, CopiesNothingButWhatIsListedHere) {
  for (const std::int64_t batch_size : {1, 2, 10, 100}) {
    EXPECT_LE(of_a_step(batch_size).copied, (kCopiedOnce + batch_size * copied_each()) * bytes)
        << batch_size;
  }
}

TEST_P(StepTraffic, ClearsNothingButWhatIsListedHere) {
  for (const std::int64_t batch_size : {1, 2, 10, 100}) {
    EXPECT_LE(of_a_step(batch_size).filled, (kFilledOnce + batch_size * kFilledEach) * bytes)
        << batch_size;
  }
}

// Each result once, its gradient once, and what is copied; the pool rounds up by a quarter at most.
TEST_P(StepTraffic, AllocatesInProportionToTheBatch) {
  const std::int64_t each = (2 * kResultsEach + copied_each()) * bytes;
  for (const std::int64_t batch_size : {1, 2, 10, 100, 400}) {
    EXPECT_LE(of_a_step(batch_size).allocated, kTapeBytes + batch_size * each * 5 / 4)
        << batch_size;
  }
}

}  // namespace
}  // namespace maskgrad
