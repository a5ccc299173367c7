#include "train/blog_run.hpp"

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/files.hpp"

namespace maskgrad::test {
namespace {

std::unique_ptr<Sequential> blog_model(MaskAxis axis) {
  auto model = std::make_unique<Sequential>();
  model->add<Masking>("masking", kPadToken)
      .add<Embed>("embed", 20, 15)
      .add<Reflect>("reflect", 15, axis)
      .add<Reshape>("reshape", std::vector<std::int64_t>{300})
      .add<Dense>("dense", 300, 150, ops::relu)
      .add<Dense>("dbd", 150, 20);
  return model;
}

}  // namespace

SequenceDataset blog_data() {
  SequenceDataset dataset(20, kPadToken);
  for (const ArithmeticSample& sample :
       read_arithmetic_shard(test_data("blog") / "shard_0000.tfrecords")) {
    dataset.add(arithmetic_tokens(sample.defs + ":" + sample.op),
                arithmetic_tokens(sample.res).front());
  }
  return dataset;
}

BlogRun::BlogRun(MaskAxis axis, DType dtype, DataLoader::Options loading, Trainer::Options training)
    : data(blog_data()),
      layers(blog_model(axis)),
      parameters(*layers, dtype, 0),
      adam(parameters),
      loader(data, loading),
      trainer([this](const Batch& batch, Pass&) { return evaluate(batch); }, parameters, adam,
              loader, training) {
  parameters.load(load_tensors(test_data("blog") / "init.safetensors"));
}

ModelOutput BlogRun::evaluate(const Batch& batch) {
  const Variable logits = (*layers)(Variable(batch.inputs));
  return {ops::cross_entropy(logits, batch.targets),
          {to_metric("accuracy", ops::accuracy(logits, batch.targets))}};
}

std::vector<double> BlogRun::losses(int steps) {
  std::vector<double> found;
  for (int i = 0; i < steps; ++i) {
    found.push_back(trainer.step(loader.next()).front().mean());
  }
  return found;
}

}  // namespace maskgrad::test
