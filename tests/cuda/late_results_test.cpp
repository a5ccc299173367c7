// Numbers that the host reads a step late.
#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/late_results.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using ::testing::ElementsAre;

Tensor scalar(double value, DType dtype) {
  return Tensor::full({}, value, DType::kFloat64).to(dtype).to(kCuda);
}

void send_in_step(LateResults& late, double value) {
  DeviceStep step(kCuda);
  late.send({scalar(value, DType::kFloat32)});
  step.end();
}

TEST(LateResults, ArriveFromEveryDtype) {
  LateResults late;
  late.send({scalar(0.25, DType::kFloat32), scalar(1e300, DType::kFloat64),
             scalar(-7, DType::kInt32), scalar(1e15, DType::kInt64), scalar(1, DType::kBool),
             scalar(test::kInf, DType::kFloat32)});
  EXPECT_THAT(late.read(), ElementsAre(0.25, 1e300, -7, 1e15, 1, test::kInf));
}

TEST(LateResults, ArriveInTheOrderInWhichTheyWereSent) {
  LateResults late;
  for (int i = 0; i < 20; ++i) {
    send_in_step(late, i);
    if (i < 2) continue;
    EXPECT_EQ(late.waiting(), 3U);
    EXPECT_THAT(late.read(), ElementsAre(i - 2));
  }
  EXPECT_THAT(late.read(), ElementsAre(18));
  EXPECT_THAT(late.read(), ElementsAre(19));
  EXPECT_EQ(late.waiting(), 0U);
}

// The scalar may be another one by then.
TEST(LateResults, AreTheValuesOfTheTimeWhenTheyWereSent) {
  LateResults late;
  for (int i = 0; i < 5; ++i) {
    DeviceStep step(kCuda);
    Tensor x = scalar(i, DType::kFloat64);
    late.send({x});
    x.fill(-1);
    step.end();
    EXPECT_THAT(late.read(), ElementsAre(i));
  }
}

TEST(LateResults, WaitForNoLaterStep) {
  LateResults late;
  send_in_step(late, 1);
  send_in_step(late, 2);
  const std::uint64_t waits = Traffic::so_far().syncs;
  EXPECT_THAT(late.read(), ElementsAre(1));
  EXPECT_EQ(Traffic::so_far().syncs, waits);
}

TEST(LateResults, MayBeReadWithinTheirStep) {
  LateResults late;
  for (int i = 0; i < 4; ++i) {
    DeviceStep step(kCuda);
    late.send({scalar(i, DType::kFloat32)});
    EXPECT_THAT(late.read(), ElementsAre(i));
    step.end();
  }
}

TEST(LateResults, MayBeReadLongAfterTheirStep) {
  LateResults late;
  send_in_step(late, 5);
  for (int i = 0; i < 10; ++i) {
    DeviceStep step(kCuda);
    step.end();
  }
  EXPECT_THAT(late.read(), ElementsAre(5));
}

// As a training loop does: the numbers of a step are read when the next one has been given.
TEST(LateResults, OfStepsThatAreReplayedAreThoseOfTheirStep) {
  LateResults late;
  Tensor sum = Tensor::zeros({}, DType::kFloat64, kCuda);
  const auto step_of = [&](int i) {
    DeviceStep step(kCuda);
    const Tensor x = scalar(i, DType::kFloat64);
    add_into(sum, x);
    late.send({sum, x});
    step.end();
  };
  for (int i = 0; i < 6; ++i) {
    step_of(i);
    if (i > 0) late.read();
  }
  const DeviceCounts before = device_counts();
  const std::uint64_t waits = Traffic::so_far().syncs;
  for (int i = 6; i < 20; ++i) {
    step_of(i);
    EXPECT_THAT(late.read(), ElementsAre((i - 1) * i / 2, i - 1));
  }
  const DeviceCounts counts = device_counts();
  EXPECT_EQ(Traffic::so_far().syncs, waits);
  if (test::reuses_memory()) {
    EXPECT_EQ(counts.replayed, before.replayed + 14);
    EXPECT_EQ(counts.allocations, before.allocations);
  }
}

TEST(LateResults, MayBeForgotten) {
  LateResults late;
  for (int i = 0; i < 3; ++i) send_in_step(late, i);
  late.forget();
  EXPECT_EQ(late.waiting(), 0U);
  send_in_step(late, 7);
  EXPECT_THAT(late.read(), ElementsAre(7));
}

TEST(LateResults, AreAsManyAsARowHolds) {
  LateResults late;
  const std::vector<Tensor> most(LateResults::kMostNumbers, scalar(2, DType::kFloat32));
  late.send(most);
  EXPECT_THAT(late.read(), ::testing::AllOf(::testing::SizeIs(most.size()), ::testing::Each(2)));
  late.send(std::span<const Tensor>{});
  EXPECT_TRUE(late.read().empty());
}

TEST(LateResults, RefuseWhatTheyCannotSend) {
  LateResults late;
  const Tensor one = scalar(1, DType::kFloat32);
  EXPECT_EQ(error_of([&] { late.send({Tensor::zeros({}, DType::kFloat32)}); }),
            "[late_results] sends scalars that are on cuda, not () on cpu");
  EXPECT_EQ(error_of([&] { late.send({Tensor::zeros({2}, DType::kFloat32, kCuda)}); }),
            "[late_results] sends scalars that are on cuda, not (2,) on cuda");
  EXPECT_EQ(error_of([&] { late.send(std::vector<Tensor>(257, one)); }),
            "[late_results] sends up to 256 numbers, not 257");
  EXPECT_EQ(error_of([&] { late.read(); }), "[late_results] nothing is waiting to be read");
  for (int i = 0; i < 3; ++i) late.send({one});
  EXPECT_EQ(error_of([&] { late.send({one}); }), "[late_results] 3 steps are waiting to be read");
}

}  // namespace
}  // namespace maskgrad
