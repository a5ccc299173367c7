// Batches cut into micro-batches: the gradient of one tape, and one order of sums.
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/micro_batch_tree.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"
#include "train/blog_run.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::BlogRun;
using test::error_of;
using test::is_close;
using test::same_bits;
using test::to_doubles;
using test::ToyRun;

MicroBatchSums one(const Tensor& gradients) {
  return {gradients, {{"loss", gradients.data<double>()[0], 1}}};
}

std::vector<MicroBatchSums> uneven(std::int64_t count) {
  Random random(4);
  std::vector<MicroBatchSums> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(one(test::uniform(random, {5000})));
  return all;
}

// By hand: neighbours, then neighbours of these; one without a neighbour waits.
Tensor summed(std::vector<Tensor> all) {
  while (all.size() > 1) {
    std::vector<Tensor> pairs;
    for (std::size_t i = 0; i < all.size(); i += 2) {
      Tensor sum = all[i].clone();
      for (std::int64_t k = 0; i + 1 < all.size() && k < sum.numel(); ++k) {
        sum.data<double>()[k] += all[i + 1].data<double>()[k];
      }
      pairs.push_back(sum);
    }
    all = pairs;
  }
  return all[0];
}

TEST(MicroBatchTree, AddsInOneBalancedTreeWhateverTheOrder) {
  for (const std::int64_t count : {1, 2, 3, 5, 6, 7, 8, 13}) {
    const std::vector<MicroBatchSums> all = uneven(count);
    std::vector<Tensor> gradients;
    for (const MicroBatchSums& sums : all) gradients.push_back(sums.gradients);
    const Tensor expected = summed(gradients);
    std::vector<std::int64_t> order(all.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    Random random(5);
    for (int trial = 0; trial < 6; ++trial) {
      MicroBatchTree tree(count), other(count);
      for (const std::int64_t index : order) {
        const bool here = trial < 3 || random.below(2) == 0;
        (here ? tree : other).add(index, all[static_cast<std::size_t>(index)]);
      }
      tree.merge(std::move(other));
      const MicroBatchSums sums = tree.finish();
      EXPECT_TRUE(same_bits(sums.gradients, expected)) << count;
      EXPECT_EQ(sums.metrics.front().sum, expected.data<double>()[0]);
      EXPECT_EQ(sums.metrics.front().count, count);
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[random.below(i)]);
    }
  }
}

TEST(MicroBatchTree, LeavesTheGradientsItIsGivenAlone) {
  MicroBatchTree tree(4);
  Tensor buffer = Tensor::full({3}, 1.0, DType::kFloat64);  // of a model, used again and again
  for (std::int64_t index = 0; index < 4; ++index) {
    buffer.fill(static_cast<double>(index + 1));
    if (index == 1) {
      tree.add(index, {});
      continue;
    }
    tree.add(index, {buffer, {}});
    EXPECT_EQ(buffer.data<double>()[0], static_cast<double>(index + 1));
  }
  buffer.fill(100.0);
  EXPECT_THAT(to_doubles(tree.finish().gradients), ::testing::Each(1.0 + 3.0 + 4.0));
}

TEST(MicroBatchTree, KeepsATensorForEachLevelWhileTheyComeInOrder) {
  const Tensor gradient = Tensor::full({16}, 1.0, DType::kFloat32);
  MicroBatchTree tree(1000);
  std::int64_t most = 0;
  for (std::int64_t index = 0; index < 1000; ++index) {
    tree.add(index, {gradient, {}});
    most = std::max(most, tree.waiting());
  }
  EXPECT_LE(most, 10);
  EXPECT_EQ(tree.finish().gradients.data<float>()[0], 1000.0F);
}

TEST(MicroBatchTree, RefusesWhatDoesNotFit) {
  const Tensor gradient = Tensor::full({2}, 1.0, DType::kFloat64);
  MicroBatchTree tree(4);
  EXPECT_EQ(error_of([] { MicroBatchTree(0); }),
            "[micro_batches] there must be one at least, not 0");
  EXPECT_EQ(error_of([&] { tree.add(4, {}); }),
            "[micro_batches] there is no micro-batch 4: there are 4");
  tree.add(0, {gradient, {}});
  EXPECT_EQ(error_of([&] {
              tree.add(0, {gradient, {}});
            }),
            "[micro_batches] micro-batch 0 came twice");
  tree.add(1, {gradient, {}});
  EXPECT_EQ(error_of([&] {
              tree.add(1, {gradient, {}});
            }),
            "[micro_batches] micro-batch 1 came twice");
  EXPECT_EQ(error_of([&] { tree.finish(); }), "[micro_batches] some of the 4 are missing");
  EXPECT_EQ(error_of([&] { tree.merge(MicroBatchTree(3)); }),
            "[micro_batches] a tree of 3 micro-batches does not fit one of 4");
  tree.add(2, {gradient, {}});
  EXPECT_THAT(error_of([&] {
                tree.add(3, {Tensor::zeros({3}, DType::kFloat64), {}});
              }),
              ::testing::HasSubstr("do not fit"));
}

TEST(MicroBatches, GiveTheGradientOfOneTape) {
  for (const std::int64_t parts : {2, 3, 4, 7}) {
    BlogRun whole(MaskAxis::kKey, DType::kFloat64, {.batch_size = 50, .shuffle = true});
    BlogRun cut(MaskAxis::kKey, DType::kFloat64, {.batch_size = 50, .shuffle = true},
                {.micro_batches = parts});
    const auto expected = whole.trainer.step(whole.loader.next());
    const auto metrics = cut.trainer.step(cut.loader.next());
    ASSERT_EQ(metrics.size(), expected.size());
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      EXPECT_EQ(metrics[i].name, expected[i].name);
      EXPECT_EQ(metrics[i].count, expected[i].count);
      EXPECT_NEAR(metrics[i].sum, expected[i].sum, 1e-12);
    }
    EXPECT_TRUE(
        is_close(cut.parameters.gradients(), to_doubles(whole.parameters.gradients()), 1e-12));
    const std::vector<double> losses = whole.losses(20), of_cut = cut.losses(20);
    for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(of_cut[i], losses[i], 1e-9) << i;
  }
}

TEST(MicroBatches, HaveTheSameBitsForAnyNumberOfThreads) {
  BlogRun one_thread(MaskAxis::kKey, DType::kFloat32, {.batch_size = 100}, {.micro_batches = 4});
  const std::vector<double> expected = one_thread.losses(5);
  const test::WithThreads threads(3);
  BlogRun several(MaskAxis::kKey, DType::kFloat32, {.batch_size = 100}, {.micro_batches = 4});
  EXPECT_EQ(several.losses(5), expected);
  EXPECT_TRUE(same_bits(several.parameters.values(), one_thread.parameters.values()));
}

// As two processes would, each with a model of its own.
TEST(MicroBatches, MayBeSpreadOverModelsAndThreads) {
  ToyRun toy({.training = {.lr = 1.0, .micro_batches = 4}, .dtype = DType::kFloat32, .sgd = true});
  const Batch batch = toy.loader->peek();
  MicroBatchTree trees[2] = {MicroBatchTree(4), MicroBatchTree(4)};
  const auto work = [&](std::int64_t half) {
    ToyRun own({.dtype = DType::kFloat32});
    for (const std::int64_t index : {2 * half + 1, 2 * half}) {
      own.parameters->clear_gradients();
      Tape tape;
      const Variable sum = own.evaluate(batch.part(index, 1)).terms[0].sum;
      tape.backward(sum);
      trees[half].add(index, {own.parameters->gradients(), {{"loss", sum.item(), 1}}});
    }
  };
  std::thread first(work, 0), second(work, 1);
  first.join();
  second.join();
  trees[1].merge(std::move(trees[0]));
  const MicroBatchSums all = trees[1].finish();
  const auto metrics = toy.trainer->step(toy.loader->next());
  EXPECT_EQ(metrics.front().sum, all.metrics.front().sum);
  std::vector<double> expected = to_doubles(all.gradients);
  for (double& g : expected) g = static_cast<float>(g) * 0.25F;
  EXPECT_EQ(to_doubles(toy.parameters->gradients()), expected);
}

TEST(MicroBatches, MayBeMoreThanTheSamples) {
  ToyRun whole({.training = {.lr = 0.01}}), cut({.training = {.lr = 0.01, .micro_batches = 9}});
  whole.run();
  cut.run();
  EXPECT_TRUE(is_close(cut.parameters->values(), to_doubles(whole.parameters->values()), 1e-12));
}

// Beside the loss of all samples, three times that of a micro-batch, over all samples but the
// first.
ModelOutput two_terms(ToyRun& toy, const Batch& batch) {
  ModelOutput output = toy.evaluate(batch);
  output.terms[0].name = "all";
  std::int64_t others = 0;
  for (const std::int64_t id : batch.ids.values<std::int64_t>()) others += id > 0;
  output.terms.push_back({"others", ops::scale(output.terms[0].sum, 3.0), others, 0.5});
  return output;
}

TEST(MicroBatches, DivideEachTermByWhatAllOfThemCount) {
  ToyRun cut({.training = {.micro_batches = 2}},
             [](ToyRun& run, const Batch& batch, Pass&) { return two_terms(run, batch); });
  const Batch batch = cut.loader->peek();
  std::vector<double> expected;
  double total = 0.0;
  for (std::int64_t index = 0; index < 2; ++index) {
    cut.parameters->clear_gradients();
    Tape tape;
    const ModelOutput output = two_terms(cut, batch.part(2 * index, 2));
    const Variable sum = ops::add(ops::scale(output.terms[0].sum, 1.0 / 4),
                                  ops::scale(output.terms[1].sum, 0.5 / 3));
    tape.backward(sum);
    total += sum.item();
    const std::vector<double> gradient = to_doubles(cut.parameters->gradients());
    expected.resize(gradient.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) expected[i] += gradient[i];
  }
  const auto metrics = cut.trainer->step(cut.loader->next());
  EXPECT_NEAR(metrics[0].mean(), total, 1e-13);
  EXPECT_EQ(metrics[1].count, 4);
  EXPECT_EQ(metrics[2].count, 3);
  EXPECT_TRUE(is_close(cut.parameters->gradients(), expected, 1e-13));
}

TEST(MicroBatches, DrawNumbersOfTheirOwn) {
  std::vector<double> drawn;
  const auto model = [&](ToyRun& run, const Batch& batch, Pass& pass) {
    drawn.push_back(pass.random().uniform(0.0, 1.0));
    return run.evaluate(batch);
  };
  ToyRun cut({.training = {.micro_batches = 3, .max_steps = 2, .seed = 8}}, model);
  cut.run();
  ASSERT_EQ(drawn.size(), 6U);
  for (std::size_t pass = 0; pass < 6; ++pass) {
    EXPECT_EQ(drawn[pass], Pass::training(8, pass).random().uniform(0.0, 1.0)) << pass;
  }
}

// A dropout of sorts: each micro-batch weighs its loss by a number that it draws.
ModelOutput drawing(ToyRun& run, const Batch& batch, Pass& pass) {
  ModelOutput output = run.evaluate(batch);
  output.terms[0].sum = ops::scale(output.terms[0].sum, pass.random().uniform(0.5, 1.5));
  return output;
}

TEST(MicroBatches, AreGoneOnWithByteForByte) {
  const test::ToyOptions options = {.training = {.micro_batches = 3, .epochs = 2},
                                    .dtype = DType::kFloat32};
  const test::ScratchFolder whole, broken;
  ToyRun unbroken(options, drawing);
  unbroken.trainer->add(std::make_unique<CheckpointCallback>(whole.path()));
  unbroken.run();
  {
    ToyRun first(options, drawing);
    first.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
    test::stop_after(first, 2);
  }
  ToyRun second = test::from_checkpoint(options, broken.path(), drawing);
  second.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
  second.run();
  const char* const last = "step_000000000006.safetensors";
  EXPECT_TRUE(read_file(broken / last) == read_file(whole / last));
}

TEST(MicroBatches, SayWhichOperationDiverged) {
  ToyRun toy({.training = {.micro_batches = 2}}, [](ToyRun& run, const Batch& batch, Pass&) {
    ModelOutput output = run.evaluate(batch);
    const bool is_second = batch.ids.values<std::int64_t>().front() == 2;
    if (is_second) output.terms[0].sum = ops::log(ops::negate(output.terms[0].sum));
    return output;
  });
  EXPECT_EQ(error_of([&] { toy.run(); }),
            "[train] step 0: the loss is nan; first of all, log gave nan at element 0 of ()");
  EXPECT_EQ(error_of([] { ToyRun({.training = {.micro_batches = 0}}); }),
            "[train] micro_batches must be at least 1, not 0");
}

}  // namespace
}  // namespace maskgrad
