#include "recipes/distractors/answer_likelihood.hpp"

#include <algorithm>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

namespace maskgrad::apps {
namespace {

constexpr double kLeast = 1e-6;
constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());
// The tokens at each place of a reading, neighbours in the vocabulary.
constexpr std::string_view kChoices[] = {"xy",        "+-",       "123456789", "+-",
                                         "123456789", kOperators, "xy"};
constexpr std::int64_t kPlaces = std::ssize(kChoices);
static_assert(kPlaces == Distractors::kReading);

std::int64_t first_of(std::string_view choices) {
  return static_cast<std::int64_t>(kArithmeticVocabulary.find(choices));
}

// All readings [R, 7]: the last place changes fastest.
Tensor all_readings() {
  std::int64_t count = 1;
  for (const std::string_view choices : kChoices) count *= std::ssize(choices);
  Tensor readings = Tensor::empty({count, kPlaces}, DType::kInt64);
  for (std::int64_t r = 0; r < count; ++r) {
    std::int64_t rest = r;
    for (std::int64_t i = kPlaces - 1; i >= 0; --i) {
      const std::string_view choices = kChoices[i];
      readings.data<std::int64_t>()[r * kPlaces + i] =
          first_of(choices) + rest % std::ssize(choices);
      rest /= std::ssize(choices);
    }
  }
  return readings;
}

// p(r) of all readings [B, R], from the last place to the first: the longest rows are innermost.
Variable of_readings(const Variable& logits) {
  const Variable all = ops::softmax(logits);
  const std::int64_t batch = all.dim(0);
  Variable joint(Tensor::full({batch, 1, 1}, 1, all.dtype(), all.device()));
  std::int64_t readings = 1;
  for (std::int64_t i = kPlaces - 1; i >= 0; --i) {
    const std::int64_t first = first_of(kChoices[i]), count = std::ssize(kChoices[i]);
    const Variable place = ops::slice(ops::slice(all, 1, i, i + 1), 2, first, first + count);
    readings *= count;
    joint = ops::reshape(ops::multiply(ops::reshape(place, {batch, count, 1}), joint),
                         {batch, 1, readings});
  }
  return ops::reshape(joint, {batch, readings});
}

}  // namespace

AnswerLikelihood::AnswerLikelihood(const Predictor& predictor, DType dtype, Device device) {
  const NoGrad no_grad;
  Pass pass;
  const Tensor readings = all_readings();
  readings_ = readings.dim(0);
  const Variable steps = predictor.steps_of(certain(readings, dtype, device), pass);
  const Variable answers = ops::softmax(predictor.answer_of(ops::softmax(steps), pass));
  const Tensor wide = answers.value().to(DType::kFloat64).to(Device{});
  const std::int64_t each = Distractors::kAnswer * kClasses;
  probability_.resize(static_cast<std::size_t>(each * readings_));
  for (std::int64_t r = 0; r < readings_; ++r) {
    for (std::int64_t i = 0; i < each; ++i) {
      probability_[static_cast<std::size_t>(i * readings_ + r)] = wide.data<double>()[r * each + i];
    }
  }
}

Tensor AnswerLikelihood::of_each_reading(const Tensor& targets, DType dtype) const {
  const std::int64_t batch = targets.dim(0), asked = targets.dim(1);
  Tensor likelihood = Tensor::full({batch, readings_}, 1, DType::kFloat64);
  for (std::int64_t i = 0; i < batch * asked; ++i) {
    double* const row = likelihood.data<double>() + i / asked * readings_;
    const std::int64_t column = i % asked * kClasses + targets.data<std::int64_t>()[i];
    const double* const of_token = probability_.data() + column * readings_;
    for (std::int64_t r = 0; r < readings_; ++r) row[r] *= of_token[r];
  }
  return likelihood.to(dtype);
}

Variable AnswerLikelihood::losses(const Variable& reading, const Tensor& targets) const {
  const Variable likelihood(of_each_reading(targets, reading.dtype()).to(reading.device()));
  const Variable right = ops::sum(ops::multiply(of_readings(reading), likelihood), {1});
  return ops::negate(ops::log(right + kLeast));
}

}  // namespace maskgrad::apps
