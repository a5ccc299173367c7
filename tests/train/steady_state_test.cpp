// A training step that repeats asks the system for no memory.
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/layers/learned_mask/learned_mask.hpp>
#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/allocations.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"
#include "train/blog_run.hpp"
#include "train/small_training.hpp"

namespace maskgrad {
namespace {

using test::allocations;
using test::BlogRun;
using test::counting;
using test::last_size;

// Steps over more than an epoch, so that each way a batch can come is met.
constexpr int kWarmUp = 1200, kMeasured = 600;

class SteadyState : public test::CountsAllocations {
 protected:
  // More batches than a loader reads ahead. Warming up beside them takes the memory that steps take
  // later beside a loader that is ahead, even where its thread has hardly had a turn until then.
  static std::vector<Batch> as_many_as_are_read_ahead(const SequenceDataset& data,
                                                      const DataLoader::Options& loading) {
    DataLoader loader(data, loading);
    std::vector<Batch> batches;
    for (int i = 0; i < 80; ++i) batches.push_back(loader.next());
    return batches;
  }

  // A block of each size up to 64 KiB. Warming up beside them takes the memory that parts of one
  // operation take later at the same time, even where its threads have hardly overlapped until
  // then.
  static std::vector<Tensor> blocks_of_all_sizes() {
    std::vector<Tensor> blocks;
    for (std::int64_t bytes = 1; bytes <= 65'536; bytes += 1 + bytes / 8) {
      blocks.push_back(Tensor::empty({bytes}, DType::kBool));
    }
    return blocks;
  }

  static std::int64_t allocations_of_a_run(MaskAxis axis, DType dtype, std::int64_t batch_size,
                                           PackWhen pack = PackWhen::kNever,
                                           const Trainer::Options& training = {}) {
    const DataLoader::Options loading = {.batch_size = batch_size, .shuffle = true};
    BlogRun run(axis, dtype, loading, training);
    run.layers->pack(pack);
    const auto steps = [&](int count) {
      for (int i = 0; i < count; ++i) run.trainer.step(run.loader.next());
    };
    {
      const std::vector<Batch> held = as_many_as_are_read_ahead(run.data, loading);
      const std::vector<Tensor> blocks = blocks_of_all_sizes();
      steps(kWarmUp);
    }
    return counted([&] { steps(kMeasured); });
  }
};

TEST_F(SteadyState, AStepOfTheBlogsModelAllocatesNothing) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
      EXPECT_EQ(allocations_of_a_run(axis, dtype, 2), 0)
          << to_string(axis) << ", the last of " << last_size << " bytes";
    }
  }
}

TEST_F(SteadyState, NorDoesOneOnSeveralThreads) {
  const test::WithThreads threads(2);
  EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 100), 0)
      << "the last of " << last_size << " bytes";
}

TEST_F(SteadyState, NorDoesOneInMicroBatchesThatClips) {
  EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 10, PackWhen::kNever,
                                 {.clip_norm = 1.0, .micro_batches = 4}),
            0)
      << "the last of " << last_size << " bytes";
}

TEST_F(SteadyState, NorDoesOneThatPacks) {
  for (const PackWhen pack : {PackWhen::kAuto, PackWhen::kAlways}) {
    EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 2, pack), 0)
        << to_string(pack) << ", the last of " << last_size << " bytes";
  }
}

TEST_F(SteadyState, NorDoesOneOfATransformer) {
  for (const test::SmallTrainingKind& kind : test::kSmallTrainings) {
    test::SmallTraining training(kind);
    training.run(3);
    EXPECT_EQ(counted([&] { training.run(3); }), 0)
        << kind.name << ", the last of " << last_size << " bytes";
  }
}

TEST_F(SteadyState, NorDoesOneThatLearnsAMask) {
  constexpr std::int64_t kRows = 8, kLength = 20, kFeatures = 6;
  Random random(1);
  const SequenceMask mask = SequenceMask(test::random_bits(random, {kRows, kLength}));
  const Variable x(test::uniform(random, {kRows, kLength, kFeatures}).to(DType::kFloat32),
                   Variable::kConstant, mask);
  const Tensor losses = test::uniform(random, {kRows});
  for (const std::string& name : sampler_names()) {
    LearnedMask layer(kFeatures, make_sampler(name));
    ParameterBuffer parameters(layer, DType::kFloat32, 1);
    ScoreFunction score({.samples = 4});
    std::uint64_t step = 0;
    const auto steps = [&](int count) {
      for (int i = 0; i < count; ++i) {
        Tape tape;
        Pass pass = Pass::training(1, ++step);
        const LearnedMask::Drawn drawn = layer.draw(x, pass);
        Variable loss = ops::sum(ops::fill_masked(drawn.y));
        loss = ops::add(loss, sparsity_cost(drawn.kept).mean());
        if (drawn.sample.log_probability.defined()) {
          loss = ops::add(loss, score.surrogate(losses, drawn.sample.log_probability));
        }
        parameters.clear_gradients();
        tape.backward(loss);
      }
    };
    steps(3);
    EXPECT_EQ(counted([&] { steps(5); }), 0) << name << ", the last of " << last_size << " bytes";
  }
}

TEST_F(SteadyState, NorDoesTheTrainerWithinAnEpoch) {
  struct Watch : Callback {
    explicit Watch(std::vector<Batch> batches) : held(std::move(batches)) {}
    void on_step(const Trainer&, const StepInfo& step) override {
      if (step.step == 510) {  // the second epoch has begun
        held.clear();
        allocations = 0;
      }
      counting = step.step >= 510 && step.step < 990;
    }
    std::vector<Batch> held;
  };
  const DataLoader::Options loading = {.batch_size = 2};
  BlogRun run(MaskAxis::kKey, DType::kFloat32, loading, {.epochs = 2});
  run.trainer.add(std::make_unique<Watch>(as_many_as_are_read_ahead(run.data, loading)));
  run.trainer.run(false);
  EXPECT_FALSE(counting);
  EXPECT_EQ(allocations, 0) << "the last of " << last_size << " bytes";
}

}  // namespace
}  // namespace maskgrad
