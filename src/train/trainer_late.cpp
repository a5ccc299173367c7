// Steps of which the host hears late: the numbers that it sends for, and what it does about them.
#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "train";

bool is_on_device(const Tensor& x) { return x.device().type != DeviceType::kCpu; }

}  // namespace

// While one lives, the host waits for each number, and says at once when one is not finite.
class Trainer::Waits {
 public:
  explicit Waits(Trainer& trainer) : trainer_(trainer), late_(std::move(trainer.late_)) {}
  ~Waits() { trainer_.late_ = std::move(late_); }
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;

 private:
  Trainer& trainer_;
  std::unique_ptr<Late> late_;
};

// f(). Where it throws, what was given is over.
template <class F>
auto Trainer::or_forget_given(F f) {
  try {
    return f();
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    try {
      forget_given();
    } catch (...) {  // the device is lost: what was first tells more
    }
    std::rethrow_exception(error);
  }
}

PoolVector<Metric> Trainer::step(const Batch& batch) {
  return or_forget_given([&] {
    give(batch, state_.position);
    return take_given();
  });
}

Trainer::Outcome Trainer::run(const std::atomic<bool>& stop) {
  return or_forget_given([&] { return run_steps(stop); });
}

// Before the update, so that there is none by such a number.
void Trainer::note_not_finite(const Given& given) {
  if (!late_) return;
  PoolVector<Tensor> losses;
  for (const LossTerm& term : given.made.output.terms) {
    if (is_on_device(term.sum.value())) losses.push_back(term.sum.value());
  }
  const Tensor& gradients = parameters_.read_gradients();
  dispatch_device(
      gradients.device(), kFindNotFiniteCuda, [] {}, losses, gradients, late_->update.finite);
}

// Sends for the numbers that are on the device. They are undefined until they are here.
void Trainer::send(Given& given) {
  if (!late_) return;
  LateUpdate& update = late_->update;
  PoolVector<Tensor> numbers = {update.finite[0], update.finite[1]};
  for (LossTerm& term : given.made.output.terms) {
    if (!is_on_device(term.sum.value())) continue;
    numbers.push_back(term.sum.value());
    term.sum = {};
  }
  for (BatchMetric& metric : given.made.output.metrics) {
    if (is_on_device(metric.sum)) numbers.push_back(std::exchange(metric.sum, {}));
  }
  late_->results.send(numbers);
  update.scale = {};
}

void Trainer::receive(Given& given) {
  auto& [output, sums] = given.made;
  const std::span<const double> numbers = late_->results.read();
  auto next = numbers.begin();
  const bool may_update = *next++ != 0, is_updated = *next++ != 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const Variable& sum = output.terms[i].sum;
    sums[i].sum = sum.defined() ? sum.item() : *next++;
  }
  for (BatchMetric& metric : output.metrics) {
    if (!metric.sum.defined()) metric.sum = Tensor::full({}, *next++, DType::kFloat64);
  }
  const bool are_finite = std::all_of(sums.begin(), sums.end(),
                                      [](const Metric& sum) { return std::isfinite(sum.sum); });
  if (!may_update || !is_updated || !are_finite) explain_late(given, may_update);
}

// Returns the numbers of the oldest step that was given.
PoolVector<Metric> Trainer::take_given() {
  Given given = std::move(given_.front());
  given_.erase(given_.begin());
  if (late_) receive(given);
  return reported(given.made.output, given.made.sums);
}

void Trainer::forget_given() {
  given_.clear();
  if (!late_) return;
  late_->results.forget();
  late_->update.clear();
}

// The parameters are those before the step, unless its update made them not finite: later steps
// change nothing.
void Trainer::explain_late(Given& given, bool is_update) {
  forget_given();
  optimizer_.set_steps(given.updates + (is_update ? 1 : 0));
  const Waits waits(*this);
  check_finite(given.batch, given.made.sums);
  const std::int64_t step = step_under_way();
  try {
    if (is_update) optimizer_.check_values(parameters_, learning_rate(step));
  } catch (const Error& error) {
    explain_update(given.batch, error.text());
  }
  Summed again = pass(given.batch);
  const double scale = transform_gradients(given.batch, again);
  try {
    optimizer_.check_gradients(parameters_, scale);
  } catch (const Error& error) {
    explain_update(given.batch, error.text());
  }
  throw Diverged(kName, fmt::format("step {}: the device met a number that is not finite; the "
                                    "step does not meet it again",
                                    step));
}

}  // namespace maskgrad
