// The exponential moving average (EMA) of a model's weights.
#pragma once

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// average += share (w - average), the share rounded to the dtype.
inline constinit CudaKernel<void(const Tensor& w, double share, LateUpdate& late, Tensor& average)>
    kAverageCuda{"ema"};

/// average += (1 - d) (w - average) after step t = 0, 1, ..., with d = min(decay, (1 + t) / (10 +
/// t)) (Polyak & Juditsky 1992; tf.train.ExponentialMovingAverage with num_updates). It starts as
/// the weights that it is constructed with, and the smaller d of the first steps lets them go: else
/// a short run would end with an average that is mostly untrained. It often does better than the
/// weights of the last step.
class WeightAverage {
 public:
  /// Throws Error unless 0 < decay < 1.
  WeightAverage(const ParameterBuffer& parameters, double decay);

  /// Throws Error unless the average was made for parameters of this shape, dtype and device.
  void check_fits(const ParameterBuffer& parameters) const;
  /// Takes in the weights after step t. Throws Error as check_fits().
  void update(const ParameterBuffer& parameters, std::int64_t t);
  /// The same for parameters on a device. It takes nothing in where `late` says that something is
  /// not finite.
  void update(const ParameterBuffer& parameters, std::int64_t t, LateUpdate& late);
  /// Exchanges the average and the weights. Throws Error as check_fits().
  void swap(ParameterBuffer& parameters);

  double decay() const { return decay_; }
  /// [N], as ParameterBuffer::values(). A checkpoint saves it and writes into it.
  const Tensor& values() const { return values_; }

 private:
  double share_of(std::int64_t t) const;

  double decay_;
  Tensor values_;
};

/// While this object lives, the parameters hold the average. Without an average it does nothing.
class WithAverage {
 public:
  WithAverage(WeightAverage* average, ParameterBuffer& parameters)
      : average_(average), parameters_(parameters) {
    if (average_) average_->swap(parameters_);
  }
  ~WithAverage() {
    if (average_) average_->swap(parameters_);
  }
  WithAverage(const WithAverage&) = delete;
  WithAverage& operator=(const WithAverage&) = delete;

 private:
  WeightAverage* average_;
  ParameterBuffer& parameters_;
};

}  // namespace maskgrad
