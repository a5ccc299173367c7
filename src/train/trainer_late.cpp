// Steps of which the host hears late: the numbers that it sends for, and what it does about them.
#include <exception>
#include <utility>

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "train";

bool is_on_device(const Tensor& x) { return x.device().type != DeviceType::kCpu; }

void check_sendable(const ModelOutput& output, std::size_t most) {
  const std::size_t count = output.terms.size() + output.metrics.size();
  check(count <= most, kName,
        "on a device a step has at most {} terms and metrics, and the model gave {}: give fewer",
        most, count);
  for (const BatchMetric& metric : output.metrics) {
    check_given(metric.sum.defined(), kName, "the sum of a metric");
    check(metric.sum.numel() == 1, kName, "the sum of metric '{}' must be one number, not {}",
          metric.name, metric.sum.shape());
  }
}

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
  check_nothing_is_given();
  return or_forget_given([&] {
    give(batch, state_.position);
    const Given given = take_given();
    return reported(given.made.output, given.made.sums);
  });
}

Trainer::Outcome Trainer::run(const std::atomic<bool>& stop) {
  check_nothing_is_given();
  return or_forget_given([&] { return run_steps(stop); });
}

// By a callback that is told of a step.
void Trainer::check_nothing_is_given() const {
  check(given_.empty(), kName,
        "a callback cannot train while the device does the next step: it must say in needs_step() "
        "where it does");
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
  update.scale = {};
  PoolVector<Tensor> numbers = {update.finite[0], update.finite[1]};
  check_sendable(given.made.output, LateResults::kMostNumbers - numbers.size());
  for (LossTerm& term : given.made.output.terms) {
    if (!is_on_device(term.sum.value())) continue;
    numbers.push_back(term.sum.value());
    term.sum = {};
  }
  for (BatchMetric& metric : given.made.output.metrics) {
    if (is_on_device(metric.sum)) numbers.push_back(std::exchange(metric.sum, {}));
  }
  late_->results.send(numbers);
}

void Trainer::receive(Given& given) {
  auto& [output, sums] = given.made;
  const std::span<const double> numbers = late_->results.read();
  auto next = numbers.begin();
  const bool may_update = *next++ != 0, is_updated = *next++ != 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (!output.terms[i].sum.defined()) sums[i].sum = *next++;
  }
  for (BatchMetric& metric : output.metrics) {
    if (!metric.sum.defined()) metric.sum = Tensor::full({}, *next++, DType::kFloat64);
  }
  if (!may_update || !is_updated) explain_late(given, may_update);
}

// The oldest step that was given, with its numbers.
Trainer::Given Trainer::take_given() {
  Given given = std::move(given_.front());
  given_.erase(given_.begin());
  if (late_) receive(given);
  return given;
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
  const FlushDenormals flush_denormals;
  check_finite(given.batch, given.made.sums);
  try {
    if (is_update) optimizer_.check_values(parameters_, given.lr);
  } catch (const Error& error) {
    explain_update(given.batch, error.text());
  }
  Summed again = pass(given.batch);
  const double scale = transform_gradients(given.batch, again, given.lr);
  try {
    optimizer_.check_gradients(parameters_, scale);
  } catch (const Error& error) {
    explain_update(given.batch, error.text());
  }
  throw Diverged(kName, fmt::format("step {}: the device met a number that is not finite; the "
                                    "step does not meet it again: "
                                    "does the model give the same for the same batch?",
                                    step_under_way()));
}

}  // namespace maskgrad
