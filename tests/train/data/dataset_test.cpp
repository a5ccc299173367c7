// Data of any kind: batches of named tensors, and a data set of one's own.
#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/evaluate.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;
using ::testing::ElementsAre;

// Points x of two coordinates, weights of one number each, and no targets: the model is to make
// x . w + b zero.
class Points : public Dataset {
 public:
  explicit Points(std::int64_t count, double last = 1.0) : count_(count), last_(last) {}
  std::int64_t size() const override { return count_; }
  Batch collate(std::span<const std::int64_t> ids) const override {
    const auto n = static_cast<std::int64_t>(ids.size());
    Batch batch;
    batch.inputs = Tensor::empty({n, 2}, DType::kFloat64);
    Tensor weights = Tensor::empty({n, 1}, DType::kFloat64);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      check(ids[i] >= 0 && ids[i] < count_, "points", "there is no point {}", ids[i]);
      const auto x = static_cast<double>(ids[i]);
      batch.inputs.data<double>()[2 * i] = x;
      batch.inputs.data<double>()[2 * i + 1] = -x / 2;
      weights.data<double>()[i] = ids[i] + 1 == count_ ? last_ : 0.5;
    }
    batch.others.push_back({"weights", weights});
    return batch;
  }

 private:
  std::int64_t count_;
  double last_;
};

TEST(Batch, FindsItsTensorsByName) {
  const Batch batch = Points(5).collate(std::vector<std::int64_t>{3, 1});
  EXPECT_EQ(batch.size(), 2);
  EXPECT_THAT(to_doubles(batch["inputs"]), ElementsAre(3, -1.5, 1, -0.5));
  EXPECT_THAT(to_doubles(batch["weights"]), ElementsAre(0.5, 0.5));
  EXPECT_EQ(error_of([&] { batch["targets"]; }), "[data] the batch has no 'targets'");
  EXPECT_EQ(error_of([&] { batch["weight"]; }), "[data] the batch has no 'weight'");
}

TEST(Batch, HasAsManySamplesAsItsFirstTensorHasRows) {
  Batch batch;
  batch.others = {{"first", Tensor::zeros({3}, DType::kFloat32)},
                  {"last", Tensor::zeros({7}, DType::kFloat32)}};
  EXPECT_EQ(batch.size(), 3);
  batch.inputs = Tensor::zeros({2, 4}, DType::kFloat32);
  EXPECT_EQ(batch.size(), 2);
}

TEST(Batch, IsCutIntoParts) {
  Batch batch = Points(5).collate(std::vector<std::int64_t>{0, 1, 2, 3, 4});
  batch.epoch = 7;
  const Batch part = batch.part(1, 3);
  EXPECT_EQ(part.size(), 3);
  EXPECT_EQ(part.epoch, 7);
  EXPECT_FALSE(part.targets.defined());
  EXPECT_THAT(to_doubles(part.inputs), ElementsAre(1, -0.5, 2, -1, 3, -1.5));
  EXPECT_EQ(part["weights"].shape(), (Shape{3, 1}));
  EXPECT_EQ(batch.part(5, 0).size(), 0);
  EXPECT_EQ(error_of([&] { batch.part(4, 2); }),
            "[data] there are no 2 samples from 4 on in a batch of 5");
  EXPECT_EQ(error_of([&] { batch.part(-1, 2); }),
            "[data] there are no 2 samples from -1 on in a batch of 5");
  batch.others.push_back({"all", Tensor::zeros({2, 5}, DType::kFloat64)});
  batch.targets = Tensor::zeros({5}, DType::kInt64);
  EXPECT_EQ(error_of([&] { batch.part(0, 1); }),
            "[data] 'all' is (2, 5): it must have a row for each of the 5 samples");
}

TEST(Dataset, OfOnesOwnIsLoadedAndKnownByItsNumbers) {
  const Points points(5);
  DataLoader loader(points, {.batch_size = 2, .shuffle = true, .seed = 3});
  std::vector<double> seen;
  for (int i = 0; i < 3; ++i) {
    const Batch batch = loader.next();
    const auto ids = to_doubles(batch.ids), x = to_doubles(batch.inputs);
    for (std::size_t s = 0; s < ids.size(); ++s) EXPECT_EQ(x[2 * s], ids[s]);
    seen.insert(seen.end(), ids.begin(), ids.end());
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre(0, 1, 2, 3, 4));
}

TEST(Dataset, HasAFingerprintOfAllThatItsSamplesHold) {
  const std::string print = Points(5).fingerprint();
  EXPECT_THAT(print, ::testing::MatchesRegex("5 samples, crc32c [0-9a-f]+"));
  EXPECT_EQ(Points(5).fingerprint(), print);
  EXPECT_NE(Points(5, 1.25).fingerprint(), print) << "another of its tensors";
  EXPECT_NE(Points(4).fingerprint().substr(9), print.substr(9));
}

TEST(Dataset, OfOnesOwnIsTrainedOnAndEvaluated) {
  Dense layer(2, 1);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Sgd sgd(parameters);
  const Points points(6);
  DataLoader loader(points, {.batch_size = 4});
  const Model model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    const Variable y =
        ops::multiply(layer(Variable(batch.inputs), pass), Variable(batch["weights"]));
    return {ops::SumCount{ops::sum(ops::multiply(y, y)), batch.size()}};
  };
  const double before = evaluate(model, points, 5)[0].mean();
  EXPECT_EQ(evaluate(model, points, 5)[0].count, 6);
  Trainer trainer(model, parameters, sgd, loader, {.lr = 0.02, .epochs = 50});
  trainer.run(false);
  EXPECT_LT(evaluate(model, points, 5)[0].mean(), before / 50);
}

}  // namespace
}  // namespace maskgrad
