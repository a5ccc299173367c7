// The model and the data of the blog's experiment, for tests.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::test {

/// The 1,000 samples of the reference run's first shard.
SequenceDataset blog_data();

/// The blog's model with the reference run's starting weights, its optimizer and its data.
class BlogRun {
 public:
  BlogRun(MaskAxis axis, DType dtype, DataLoader::Options loading, Trainer::Options training = {});

  ModelOutput evaluate(const Batch& batch);

  /// The losses of the next `steps` steps.
  std::vector<double> losses(int steps);

  SequenceDataset data;
  std::unique_ptr<Sequential> layers;
  ParameterBuffer parameters;
  Adam adam;
  DataLoader loader;
  Trainer trainer;
};

}  // namespace maskgrad::test
