// The benchmark packing.
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/optim/adam.hpp>

#include "cli/bench/benchmarks.hpp"
#include "cli/bench/blog_steps.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kVocabulary = 100, kFeatures = 64, kBatch = 16;

// Samples of 20 to 512 tokens, the logarithms of their lengths uniform; a batch is padded to its
// longest.
SequenceDataset uneven_data() {
  Random random(0);
  SequenceDataset data;
  for (int i = 0; i < 640; ++i) {
    const double length = std::exp(random.uniform(std::log(20.0), std::log(513.0)));
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(length));
    for (std::int64_t& token : tokens) token = random.integer(1, kVocabulary - 1);
    data.add(tokens, tokens.front() % 2);
  }
  return data;
}

// Whole steps of a classifier with one attention layer.
class UnevenSteps {
 public:
  explicit UnevenSteps(PackWhen pack)
      : data_(uneven_data()),
        parameters_(build(pack), DType::kFloat32, 0),
        adam_(parameters_),
        loader_(data_, {.batch_size = kBatch}),
        trainer_([this](const Batch& batch, Pass& pass) { return evaluate(batch, pass); },
                 parameters_, adam_, loader_, {}) {}

  std::int64_t count() const { return loader_.batches_per_epoch(); }
  void operator()() {
    for (std::int64_t i = 0; i < count(); ++i) trainer_.step(loader_.next());
  }

 private:
  Sequential& build(PackWhen pack) {
    return model_.add<Masking>("masking")
        .add<Embed>("embed", kVocabulary, kFeatures)
        .add<Reflect>("reflect", kFeatures)
        .add<Dense>("hidden", kFeatures, kFeatures, ops::relu)
        .add<GlobalPool>("pool")
        .add<Dense>("out", kFeatures, 2)
        .pack(pack);
  }
  ModelOutput evaluate(const Batch& batch, Pass& pass) {
    return {ops::cross_entropy(model_(Variable(batch.inputs), pass), batch.targets)};
  }

  SequenceDataset data_;
  Sequential model_;
  ParameterBuffer parameters_;
  Adam adam_;
  DataLoader loader_;
  Trainer trainer_;
};

}  // namespace

std::vector<Result> bench_packing() {
  std::vector<Result> results;
  for (const PackWhen pack : {PackWhen::kNever, PackWhen::kAuto, PackWhen::kAlways}) {
    const std::string when(to_string(pack));
    for (const std::int64_t batch_size : {2, 100}) {
      BlogSteps steps(batch_size, "key", when);
      results.push_back(measure(fmt::format("blog_step_b{}_pack_{}", batch_size, when), "us", 1e6,
                                steps.count, [&] { steps(); }));
    }
    UnevenSteps steps(pack);
    results.push_back(
        measure("uneven_step_pack_" + when, "us", 1e6, steps.count(), [&] { steps(); }));
  }
  return results;
}

}  // namespace maskgrad::apps
