#include <maskgrad/tensor/cuda/step_log.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";

}  // namespace

StepLog& step_log() {
  static StepLog* const log = new StepLog;  // work may end behind any destructor
  return *log;
}

bool StepLog::begin() {
  const std::lock_guard lock(device_lock());
  if (is_open_) return false;
  stream();                                         // there may be no device
  cudaEvent_t& done = done_[(step_ + 1) % kAhead];  // of the step kAhead before
  if (!done) check_cuda(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), kName);
  check_cuda(cudaEventSynchronize(done), kName);
  uploads().begin_step(++step_);
  is_open_ = true;
  return true;
}

void StepLog::end() noexcept {
  const std::lock_guard lock(device_lock());
  is_open_ = false;
  uploads().end_step();
  // What can fail here is an earlier error, which the next call reports.
  static_cast<void>(cudaEventRecord(done_[step_ % kAhead], stream()));
}

}  // namespace maskgrad::cuda
