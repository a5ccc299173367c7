#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/cpu/start_thread.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {
namespace {

thread_local bool inside_parallel_for = false;

void pause() {
#if defined(__SSE__)
  _mm_pause();
#endif
}

// Where threads wait for what atomic variables tell. At first they look again and again, because
// within a training step the next job is microseconds away while waking a thread takes 5 to 50 of
// them. Then they sleep.
class Meeting {
 public:
  explicit Meeting(std::chrono::microseconds patience) : patience_(patience) {}

  /// Returns once ready() is true.
  template <class Ready>
  void wait(Ready ready) {
    if (ready() || spin(ready)) return;
    std::unique_lock lock(mutex_);
    ++sleepers_;
    condition_.wait(lock, ready);
    --sleepers_;
  }

  /// To be called after a change that makes ready() true for up to `count` threads. All of these
  /// atomics are sequentially consistent: either this sees the sleeper, or the sleeper, who was
  /// counted before it looked once more, sees the change.
  void wake(std::int64_t count) {
    if (sleepers_ == 0) return;
    { const std::lock_guard lock(mutex_); }  // who was counted sleeps by now
    for (std::int64_t i = std::min<std::int64_t>(count, sleepers_); i > 0; --i) {
      condition_.notify_one();
    }
  }

 private:
  template <class Ready>
  bool spin(Ready& ready) const {
    using Clock = std::chrono::steady_clock;
    if (patience_.count() == 0) return false;
    const auto start = Clock::now();
    for (auto waited = Clock::duration::zero(); waited < patience_; waited = Clock::now() - start) {
      for (int i = 0; i < 64; ++i) {
        if (ready()) return true;
        pause();
      }
      // To threads that have something to do; not at once, as what comes next is near.
      if (waited > patience_ / 8) std::this_thread::yield();
    }
    return false;
  }

  const std::chrono::microseconds patience_;
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable condition_;
};

// A thread's share of the parts: next of them, one past the last. On a cache line of its own.
struct alignas(64) Share {
  std::atomic<std::int64_t> next{0};
  std::int64_t end = 0;
};

// Half of the parts end at half of the count.
struct Cut {
  std::int64_t count, parts;

  std::int64_t start_of(std::int64_t part) const {
    return part * (count / parts) + part * (count % parts) / parts;
  }
};

// One call of parallel_for. Each thread takes the parts of its own share, neighbours that are the
// same in each loop over the same rows, so that what one loop wrote lies in the cache of the core
// that reads it in the next; then it helps the others.
struct Job {
  Cut cut;
  detail::PartFunction function;
  void* context;
  DenormalMode denormals;
  std::mutex mutex{};
  std::exception_ptr error{};

  void work(std::vector<Share>& shares, std::size_t self) {
    const ScopedDenormalMode mode(denormals);
    inside_parallel_for = true;
    for (std::size_t i = 0; i < shares.size(); ++i) take(shares[(self + i) % shares.size()]);
    inside_parallel_for = false;
  }

 private:
  void take(Share& share) {
    if (share.next >= share.end) return;
    for (std::int64_t i; (i = share.next.fetch_add(1)) < share.end;) {
      try {
        function(context, cut.start_of(i), cut.start_of(i + 1));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
  }
};

// Threads that wait for a job and help with it. A caller waits only for those that have begun to
// help: one that is still asleep when the work is done holds nobody up.
class Workers {
 public:
  explicit Workers(int count)
      : patience_(count < num_processors() ? kPatience : kNone),
        shares_(static_cast<std::size_t>(count) + 1) {
    const std::string what = fmt::format("{} threads", shares_.size());
    threads_.reserve(static_cast<std::size_t>(count));
    try {
      for (std::size_t i = 1; i < shares_.size(); ++i) {
        threads_.push_back(start_thread("threads", what, [this, i] { serve(i); }));
      }
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Workers() { stop(); }

  void run(Job& job) {
    job_ = &job;
    share_out(job.cut.parts);
    state_ += kNext + kOpen;  // nobody helps now, and none may join
    work_.wake(job.cut.parts - 1);
    job.work(shares_, 0);
    if (state_.fetch_and(~kOpen) & kHelpers) {
      done_.wait([this] { return (state_ & kHelpers) == 0; });
    }
  }

 private:
  // The state in one word, so that joining a job and closing it exclude each other: how many help,
  // whether more may join, and the job's number.
  static constexpr std::uint64_t kOpen = 1 << 16, kHelpers = kOpen - 1, kNext = kOpen << 1;
  // Enough for what stands between two loops of a training step. A thread that spins is met in less
  // than a microsecond; waking one that sleeps takes many, half of them from the caller. Threads
  // that have no core of their own would only take it from those that work.
  static constexpr std::chrono::microseconds kPatience{200}, kNone{0};

  void stop() {
    stop_ = true;
    work_.wake(static_cast<std::int64_t>(threads_.size()));
    for (std::thread& thread : threads_) thread.join();
  }

  void share_out(std::int64_t parts) {
    const auto threads = static_cast<std::int64_t>(shares_.size());
    for (std::int64_t t = 0; t < threads; ++t) {
      Share& share = shares_[static_cast<std::size_t>(t)];
      share.next = parts * t / threads;
      share.end = parts * (t + 1) / threads;
    }
  }

  void serve(std::size_t self) {
    for (std::uint64_t seen = 0;;) {
      work_.wait([&] { return stop_ || state_ / kNext != seen; });
      if (stop_) return;
      std::uint64_t state = state_;
      seen = state / kNext;
      while ((state & kOpen) && state / kNext == seen) {
        if (!state_.compare_exchange_weak(state, state + 1)) continue;
        job_->work(shares_, self);
        if (((state_.fetch_sub(1) - 1) & (kOpen | kHelpers)) == 0) done_.wake(1);
        break;
      }
    }
  }

  const std::chrono::microseconds patience_;
  alignas(64) std::atomic<std::uint64_t> state_{0};
  Job* job_ = nullptr;  // read only by who has joined it
  alignas(64) std::atomic<bool> stop_{false};
  Meeting work_{patience_}, done_{patience_};
  std::vector<Share> shares_;  // of the job, the caller's first
  std::vector<std::thread> threads_;
};

int thread_count = 1;
std::unique_ptr<Workers> workers;

// The threads that helped know of no layer.
[[noreturn]] void rethrow(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (Error& thrown) {
    thrown.name_layer();
    throw;
  }
}

}  // namespace

int num_processors() {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int num_threads() { return thread_count; }

void set_num_threads(int count) {
  check(count >= 1 && count <= 1024, "threads", "the number must be 1 to 1024, not {}", count);
  if (count == thread_count) return;
  check(!inside_parallel_for, "threads", "the number cannot change within parallel_for");
  // The former ones stay until all of the new ones are there.
  workers = count > 1 ? std::make_unique<Workers>(count - 1) : nullptr;
  thread_count = count;
}

void detail::parallel_for(std::int64_t count, std::int64_t parts, PartFunction function,
                          void* context) {
  if (count <= 0) return;
  const Cut cut = {count, std::min(parts, count)};
  if (!workers || cut.parts == 1 || inside_parallel_for) {
    for (std::int64_t i = 0; i < cut.parts; ++i) {
      function(context, cut.start_of(i), cut.start_of(i + 1));
    }
    return;
  }
  // Several threads may train models of their own; they take turns with the workers.
  static std::mutex turn;
  const std::lock_guard lock(turn);
  Job job{cut, function, context, DenormalMode::current()};
  workers->run(job);
  if (job.error) rethrow(job.error);
}

}  // namespace maskgrad
