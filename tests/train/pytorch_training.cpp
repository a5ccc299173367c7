#include "train/pytorch_training.hpp"

#include <gtest/gtest.h>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/optim/adam.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

Tensors under(const Tensors& tensors, const std::string& prefix) {
  Tensors found;
  for (const auto& [name, value] : tensors) {
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = value;
  }
  return found;
}

Tensor rows_of(const Tensor& x, std::span<const std::int32_t> ids) {
  Tensor rows =
      Tensor::empty(Shape{std::ssize(ids)}.concat(x.shape().slice(1, x.rank())), x.dtype());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    rows[static_cast<std::int64_t>(i)].copy_from(x[ids[i]]);
  }
  return rows;
}

Trained train_as_pytorch(Module& model, const Tensors& file, const Logits& logits) {
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  parameters.load(under(file, "start."));
  Adam adam(parameters, {.eps = 1e-8, .form = Adam::Form::kPyTorch});
  const Tensor& batches = file.at("batches");
  Trained trained;
  for (std::int64_t step = 0; step < batches.dim(0); ++step) {
    const Tensor batch = batches[step];
    const auto ids = batch.values<std::int32_t>();
    parameters.clear_gradients();
    Tape tape;
    const Variable loss = ops::cross_entropy(logits(ids), rows_of(file.at("classes"), ids)).mean();
    trained.losses.push_back(to_doubles(loss.value())[0]);
    tape.backward(loss);
    adam.step(parameters, 5e-3);
  }
  for (const auto& [name, value] : parameters.named_values()) {
    trained.parameters[name] = value.clone();
  }
  return trained;
}

void expect_pytorchs_training(Module& model, const Tensors& file, const Logits& logits) {
  const Trained trained = train_as_pytorch(model, file, logits);
  const std::vector<double> losses = to_doubles(file.at("losses"));
  ASSERT_EQ(losses.size(), 200u);
  ASSERT_EQ(trained.losses.size(), losses.size());
  for (std::size_t step = 0; step < losses.size(); ++step) {
    ASSERT_NEAR(trained.losses[step], losses[step], 1e-9) << "step " << step;
  }
  const Tensors end = under(file, "end.");
  ASSERT_EQ(trained.parameters.size(), end.size());
  for (const auto& [name, value] : end) {
    EXPECT_TRUE(is_close(trained.parameters.at(name), to_doubles(value), 1e-9)) << name;
  }
}

}  // namespace maskgrad::test
