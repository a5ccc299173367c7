// Training on packed batches: the losses of padded ones, and what is chosen for which data.
#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"
#include "train/blog_run.hpp"

namespace maskgrad {
namespace {

using test::BlogRun;

std::vector<double> blog_losses(PackWhen when, DType dtype, int steps) {
  BlogRun run(MaskAxis::kKey, dtype, {.batch_size = 20, .shuffle = true}, {.lr = 1e-3});
  run.layers->pack(when);
  std::vector<double> all = run.losses(steps);
  const std::vector<double> weights = test::to_doubles(run.parameters.values());
  all.insert(all.end(), weights.begin(), weights.end());
  return all;
}

TEST(PackedTraining, GivesLossesAndWeightsOfPaddedTraining) {
  const std::vector<double> padded = blog_losses(PackWhen::kNever, DType::kFloat64, 60);
  const auto size = static_cast<std::int64_t>(padded.size());
  const Tensor packed = test::make(blog_losses(PackWhen::kAlways, DType::kFloat64, 60), {size});
  // Adam divides by the gradient's size, which lets rounding grow where that is next to nothing.
  EXPECT_TRUE(test::is_close(packed, padded, 1e-9));
}

TEST(PackedTraining, StaysCloseInFloat32) {
  std::vector<double> padded = blog_losses(PackWhen::kNever, DType::kFloat32, 20);
  std::vector<double> packed = blog_losses(PackWhen::kAlways, DType::kFloat32, 20);
  padded.resize(20), packed.resize(20);
  EXPECT_TRUE(test::is_close(test::make(packed, {20}), padded, 1e-4));
}

// One pass over the first batch: the loss, then every gradient.
std::vector<double> first_pass(PackWhen when) {
  BlogRun run(MaskAxis::kKey, DType::kFloat64, {.batch_size = 100});
  run.layers->pack(when);
  Tape tape;
  const ModelOutput output = run.evaluate(run.loader.next());
  tape.backward(output.terms[0].sum, 0.01);
  std::vector<double> all = test::to_doubles(run.parameters.gradients());
  all.push_back(output.terms[0].sum.item());
  return all;
}

TEST(PackedTraining, GivesTheGradientsOfPaddedTrainingToRounding) {
  const std::vector<double> padded = first_pass(PackWhen::kNever);
  const auto size = static_cast<std::int64_t>(padded.size());
  EXPECT_TRUE(test::is_close(test::make(first_pass(PackWhen::kAlways), {size}), padded, 1e-12));
}

TEST(PackedTraining, IsNotChosenForTheBlogsShortSamples) {
  BlogRun run(MaskAxis::kKey, DType::kFloat32, {.batch_size = 100});
  run.layers->pack(PackWhen::kAuto);
  for (int i = 0; i < 10; ++i) {
    const auto summaries = run.layers->explain_packing(Variable(run.loader.next().inputs));
    ASSERT_EQ(summaries.size(), 1U);
    EXPECT_EQ(summaries[0].first, "embed");
    EXPECT_EQ(summaries[0].last, "reflect");
    EXPECT_FALSE(summaries[0].plan.pack) << to_string(summaries[0]);
  }
}

TEST(PackedTraining, IsChosenForLongSamplesOfUnevenLengths) {
  Random random(5);
  SequenceDataset data;
  for (int i = 0; i < 64; ++i) {
    std::vector<std::int64_t> sample(static_cast<std::size_t>(random.integer(20, 512)), 1);
    data.add(sample, 0);
  }
  Sequential model;
  model.add<Masking>("masking")
      .add<Embed>("embed", 5, 64)
      .add<Reflect>("reflect", 64)
      .add<GlobalPool>("pool")
      .pack(PackWhen::kAuto);
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  DataLoader loader(data, {.batch_size = 16});
  for (int i = 0; i < 4; ++i) {
    const auto summaries = model.explain_packing(Variable(loader.next().inputs));
    ASSERT_EQ(summaries.size(), 1U);
    EXPECT_TRUE(summaries[0].plan.pack) << to_string(summaries[0]);
  }
}

}  // namespace
}  // namespace maskgrad
