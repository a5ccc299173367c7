#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

#include "cuda/step_model.hpp"

namespace maskgrad::test {
namespace {

constexpr auto kFeatures = static_cast<unsigned>(StepModel::kFeatures);

// y = x w: a thread for each row.
__global__ void product_kernel(const float* x, const float* w, float* y, std::int64_t rows) {
  const std::int64_t row = cuda::thread_number();
  if (row >= rows) return;
  float sum = 0;
  for (unsigned i = 0; i < kFeatures; ++i) sum += x[row * kFeatures + i] * w[i];
  y[row] = sum;
}

__global__ void loss_kernel(const float* y, float* loss, std::int64_t rows) {
  float sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) sum += y[row] * y[row];
  *loss = sum / 2;
}

__global__ void gradient_kernel(const float* x, const float* y, float* g, std::int64_t rows) {
  float sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) sum += x[row * kFeatures + threadIdx.x] * y[row];
  g[threadIdx.x] = sum;
}

__global__ void flag_kernel(const float* loss, std::int32_t* flag) {
  if (!(*loss - *loss == 0)) *flag = 1;  // Inf and NaN
}

__global__ void update_kernel(float* w, const float* g, const float* rate, float more,
                              const std::int32_t* flag) {
  if (*flag == 0) w[threadIdx.x] -= (*rate + more) * g[threadIdx.x];
}

__global__ void note_kernel(const float* loss, const std::int32_t* flag, const std::int64_t* number,
                            float* history) {
  history[2 * *number] = *loss;
  history[2 * *number + 1] = static_cast<float>(*flag);
}

Tensor input_of(const StepModel::Step& step) {
  Tensor x = Tensor::empty({step.rows, StepModel::kFeatures}, DType::kFloat32);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.data<float>()[i] = static_cast<float>((i * 37 + step.number * 11) % 23 - 11) / 16;
  }
  x.data<float>()[0] = static_cast<float>(step.first);
  return x;
}

}  // namespace

StepModel::StepModel()
    : w_(Tensor::full({kFeatures}, 0.5, DType::kFloat32, kCuda)),
      flag_(Tensor::zeros({}, DType::kInt32, kCuda)),
      history_(Tensor::zeros({kMostSteps, 2}, DType::kFloat32, kCuda)) {}

std::optional<double> StepModel::step(const Step& step) {
  DeviceStep on_device(kCuda);
  const std::optional<double> loss = step_without_scope(step);
  on_device.end();
  return loss;
}

std::optional<double> StepModel::step_without_scope(const Step& step) {
  const Tensor x = input_of(step).to(kCuda);
  Tensor y = Tensor::empty({step.rows}, DType::kFloat32, kCuda);
  Tensor loss = Tensor::empty({}, DType::kFloat32, kCuda);
  const auto of_x = x.device_data<float>();
  cuda::launch({"product", cuda::blocks_for(step.rows, 32), 32}, product_kernel, of_x,
               w_.device_data<float>(), y.device_data<float>(), step.rows);
  cuda::launch({"loss", 1, 1}, loss_kernel, y.device_data<float>(), loss.device_data<float>(),
               step.rows);
  const auto read = step.reads_loss ? std::optional(loss.item()) : std::nullopt;
  Tensor g = Tensor::empty({kFeatures}, DType::kFloat32, kCuda);
  cuda::launch({"gradient", 1, kFeatures}, gradient_kernel, of_x, y.device_data<float>(),
               g.device_data<float>(), step.rows);
  cuda::launch({"flag", 1, 1}, flag_kernel, loss.device_data<float>(),
               flag_.device_data<std::int32_t>());
  const cuda::Uploaded rate(step.rate_as_argument ? 0.0f
                                                  : 0.01f / static_cast<float>(step.number + 1));
  cuda::launch({"update", 1, kFeatures}, update_kernel, w_.device_data<float>(),
               g.device_data<float>(), rate.data(), step.rate_as_argument.value_or(0.0f),
               flag_.device_data<std::int32_t>());
  const cuda::Uploaded number(step.number);
  cuda::launch({"note", 1, 1}, note_kernel, loss.device_data<float>(),
               flag_.device_data<std::int32_t>(), number.data(), history_.device_data<float>());
  return read;
}

}  // namespace maskgrad::test
