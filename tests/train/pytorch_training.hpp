// Trainings of PyTorch's, read from a file and made again. tests/reference/training.py says what
// such a file holds.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/layers/module.hpp>

namespace maskgrad::test {

using Tensors = std::map<std::string, Tensor>;

/// Those whose names begin with `prefix`, under the rest of their names.
Tensors under(const Tensors& tensors, const std::string& prefix);

/// x[i] for each of `ids`: [ids, ...].
Tensor rows_of(const Tensor& x, std::span<const std::int32_t> ids);

/// What a model computes for some samples of a file: [ids, classes].
using Logits = std::function<Variable(std::span<const std::int32_t> ids)>;

struct Trained {
  std::vector<double> losses;
  Tensors parameters;
};

/// Trains `model` in float64 as PyTorch did.
Trained train_as_pytorch(Module& model, const Tensors& file, const Logits& logits);

/// The loss of each step and every parameter at the end are within 1e-9 of PyTorch's.
void expect_pytorchs_training(Module& model, const Tensors& file, const Logits& logits);

}  // namespace maskgrad::test
