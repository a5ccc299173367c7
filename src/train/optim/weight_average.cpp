#include <algorithm>

#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/optim/weight_average.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "ema";
constexpr std::int64_t kChunk = 4096;  // elements

}  // namespace

WeightAverage::WeightAverage(const ParameterBuffer& parameters, double decay)
    : decay_(decay), values_(parameters.zeros_beside(2)) {
  check(decay > 0 && decay < 1, kName, "the decay must be above 0 and below 1, not {}", decay);
  values_.copy_from(parameters.values());
}

void WeightAverage::check_fits(const ParameterBuffer& parameters) const {
  const Tensor& weights = parameters.values();
  check(weights.device() == values_.device(), kName, "is on {}, the parameters are on {}",
        to_string(values_.device().type), to_string(weights.device().type));
  check(weights.shape() == values_.shape() && weights.dtype() == values_.dtype(), kName,
        "was made for parameters {} {}, not {} {}", to_string(values_.dtype()), values_.shape(),
        to_string(weights.dtype()), weights.shape());
}

double WeightAverage::share_of(std::int64_t t) const {
  const auto steps = static_cast<double>(t);
  return 1.0 - std::min(decay_, (1 + steps) / (10 + steps));
}

void WeightAverage::update(const ParameterBuffer& parameters, std::int64_t t) {
  check_fits(parameters);
  if (values_.device().type != DeviceType::kCpu) {
    LateUpdate all_finite(values_.device());
    return update(parameters, t, all_finite);
  }
  const Tensor& weights = parameters.values();
  dispatch_dtype(FloatingTypes{}, values_.dtype(), kName, [&]<class T>(T) {
    const T share = static_cast<T>(share_of(t));
    const T* w = weights.data<T>();
    T* average = values_.data<T>();
    parallel_for(weights.numel(), kChunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        average[i] = ops::math::multiply_add(share, w[i] - average[i], average[i]);
      }
    });
  });
}

void WeightAverage::update(const ParameterBuffer& parameters, std::int64_t t, LateUpdate& late) {
  check_fits(parameters);
  dispatch_device(
      values_.device(), kAverageCuda, [] {}, parameters.values(), share_of(t), late, values_);
}

void WeightAverage::swap(ParameterBuffer& parameters) {
  check_fits(parameters);
  Tensor& weights = parameters.values();
  if (weights.device().type != DeviceType::kCpu) {
    const Tensor kept = weights.clone();
    weights.copy_from(values_);
    return values_.copy_from(kept);
  }
  dispatch_dtype(FloatingTypes{}, values_.dtype(), kName, [&]<class T>(T) {
    T* average = values_.data<T>();
    std::swap_ranges(average, average + values_.numel(), weights.data<T>());
  });
}

}  // namespace maskgrad
