// Recording, comparing and replaying of steps.
#include <algorithm>
#include <utility>

#include <maskgrad/tensor/cuda/device_pool.hpp>
#include <maskgrad/tensor/cuda/environment.hpp>
#include <maskgrad/tensor/cuda/step_log.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";

// What the stream is given while one lives goes into a graph.
class Capture {
 public:
  Capture() {
    // Relaxed: other threads may ask for memory meanwhile.
    check_cuda(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), kName);
  }
  ~Capture() {
    if (!is_over_) static_cast<void>(cudaStreamEndCapture(stream(), &graph_));
    if (graph_) static_cast<void>(cudaGraphDestroy(graph_));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaGraph_t end() {
    is_over_ = true;
    check_cuda(cudaStreamEndCapture(stream(), &graph_), kName);
    return graph_;
  }

 private:
  cudaGraph_t graph_ = nullptr;
  bool is_over_ = false;
};

}  // namespace

struct StepLog::Graph {
  Graph() = default;
  // Runs that are under way end by themselves.
  ~Graph() {
    if (made) static_cast<void>(cudaGraphExecDestroy(made));
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  cudaGraphExec_t made = nullptr;
};

StepLog& step_log() {
  static StepLog* const log = new StepLog;  // work may end behind any destructor
  return *log;
}

StepLog::Mode StepLog::mode_of_next_step() {
  if (step_ <= eager_until_ || waits_for_each_launch() || !pools_memory()) return Mode::kEager;
  return kept_.empty() ? Mode::kRecord : Mode::kVerify;
}

bool StepLog::begin() {
  const std::lock_guard lock(device_lock());
  if (is_open_) return false;
  need_device();
  cudaEvent_t& done = done_[(step_ + 1) % kAhead];  // of the step kAhead before
  if (!done) check_cuda(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), kName);
  check_cuda(cudaEventSynchronize(done), kName);
  uploads().begin_step(++step_);
  mode_ = mode_of_next_step();
  if (mode_ == Mode::kRecord) recording_ = std::make_unique<Recording>();
  agreeing_.clear();
  for (const auto& recording : kept_) agreeing_.push_back(recording.get());
  agreed_ = 0;
  was_broken_ = is_abandoned_ = false;
  is_open_ = true;
  return true;
}

bool StepLog::is_next(const Work& work) {
  Recording* const before = agreeing_.front();
  std::erase_if(agreeing_, [&](const Recording* recording) {
    if (agreed_ == recording->entries.size()) return true;
    const Entry& next = recording->entries[agreed_];
    return next.kernel != work.kernel || next.size != work.key.size() ||
           std::memcmp(recording->bytes.data() + next.first, work.key.data(), next.size) != 0;
  });
  if (agreeing_.empty()) {
    record_from(*before);
    return false;
  }
  ++agreed_;
  return true;
}

// The step becomes a recording of its own, that begins with what was agreed.
void StepLog::record_from(const Recording& agreed) {
  recording_ = std::make_unique<Recording>();
  recording_->entries.assign(agreed.entries.begin(),
                             agreed.entries.begin() + static_cast<std::ptrdiff_t>(agreed_));
  if (agreed_ > 0) {
    const Entry& last = recording_->entries.back();
    recording_->bytes.assign(
        agreed.bytes.begin(),
        agreed.bytes.begin() + static_cast<std::ptrdiff_t>(last.first + last.size));
  }
  mode_ = Mode::kRecord;
}

void StepLog::write_down(const Work& work, std::function<void()> start) {
  std::vector<std::byte>& bytes = recording_->bytes;
  recording_->entries.push_back({work.kernel, bytes.size(), work.key.size(), std::move(start)});
  bytes.insert(bytes.end(), work.key.begin(), work.key.end());
}

void StepLog::interrupt() {
  const std::lock_guard lock(device_lock());
  if (mode_ == Mode::kEager) return;
  was_broken_ = true;
  start_so_far();
}

void StepLog::start_so_far() {
  const Mode mode = std::exchange(mode_, Mode::kEager);
  uploads().flush();
  const auto started = mode == Mode::kRecord ? std::move(recording_) : nullptr;
  const Recording& of = started ? *started : *agreeing_.front();
  const std::size_t count = started ? of.entries.size() : agreed_;
  for (std::size_t i = 0; i < count; ++i) of.entries[i].start();
}

// Gives the device what waits. Returns the count of steps that went this way.
std::uint64_t& StepLog::run() {
  if (mode_ == Mode::kVerify) {
    const auto whole = std::find_if(agreeing_.begin(), agreeing_.end(), [&](const Recording* one) {
      return one->entries.size() == agreed_;
    });
    if (whole == agreeing_.end()) {
      record_from(*agreeing_.front());  // it gave less
    } else if (run_graph(**whole)) {
      return counted().replayed;
    } else {
      run_in_pieces();
    }
  }
  if (mode_ == Mode::kRecord && !recording_->entries.empty()) {
    if (make_graph(*recording_) && run_graph(*recording_)) {
      keep(std::move(recording_));
      return counted().recorded;
    }
    run_in_pieces();
  }
  return was_broken_ ? counted().broken : counted().eager;
}

// Where the device has no memory for the graph. Steps after it may have.
void StepLog::run_in_pieces() {
  interrupt();
  device_pool().release_free_slabs();
}

// False where the device has no memory for it.
bool StepLog::make_graph(Recording& recording) {
  // Loading a kernel may be what a stream does not do while it is captured.
  for (const Entry& entry : recording.entries) {
    cudaFuncAttributes loaded;
    if (entry.kernel && !has_memory(cudaFuncGetAttributes(&loaded, entry.kernel))) return false;
  }
  Capture capture;
  for (const Entry& entry : recording.entries) entry.start();
  recording.graph = std::make_shared<Graph>();
  return has_memory(cudaGraphInstantiate(&recording.graph->made, capture.end(), 0));
}

// False where the device has no memory to run it.
bool StepLog::run_graph(Recording& recording) {
  recording.used = step_;
  return has_memory(cudaGraphLaunch(recording.graph->made, stream()));
}

void StepLog::keep(std::unique_ptr<Recording> recording) {
  const auto used_before = [](const auto& a, const auto& b) { return a->used < b->used; };
  if (kept_.size() == kKept) {
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), used_before));
  }
  kept_.push_back(std::move(recording));
}

void StepLog::end() {
  const std::lock_guard lock(device_lock());
  try {
    uploads().flush();  // first of all: a kernel may be refused, and tensors outlive the step
    ++run();
  } catch (...) {
    close();
    throw;
  }
  close();
}

void StepLog::close() {
  if (mode_ != Mode::kEager) broken_in_row_ = 0;
  if (was_broken_ && !is_abandoned_) put_off_recording();
  mode_ = Mode::kEager;
  is_open_ = false;
  recording_ = nullptr;
  uploads().end_step();
  device_pool().end_step();
  // What can fail here is an earlier error, which the next call reports.
  static_cast<void>(cudaEventRecord(done_[step_ % kAhead], stream()));
}

// Graphs may hold copies to or from memory that is gone.
void StepLog::forget() {
  interrupt();
  kept_.clear();
}

// Who reads within one step after another is served best by a device that starts at once. Now and
// then the log looks whether it is so still.
void StepLog::put_off_recording() {
  constexpr std::uint64_t kMost = 64;  // steps
  if (++broken_in_row_ > 1) {
    eager_until_ =
        step_ + std::min(kMost, std::uint64_t{1} << std::min<std::uint64_t>(broken_in_row_, 6));
  }
}

// Its own errors are dropped: the one that ended the step is on its way.
void StepLog::abandon() noexcept {
  is_abandoned_ = true;
  try {
    interrupt();
  } catch (...) {
  }
  try {
    end();
  } catch (...) {
  }
}

void StepLog::wait_for(std::uint64_t step) {
  const std::lock_guard lock(device_lock());
  if (step == 0 || (is_open_ && step == step_)) return synchronize();
  // begin() has waited for the others.
  if (step + kAhead > step_) check_cuda(cudaEventSynchronize(done_[step % kAhead]), kName);
}

}  // namespace maskgrad::cuda
