#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {
namespace {

thread_local bool inside_parallel_for = false;

// One call of parallel_for. Threads take the next chunk until none is left.
struct Job {
  std::int64_t count, chunk;
  detail::ChunkFunction function;
  void* context;
  DenormalMode denormals;
  std::atomic<std::int64_t> next{0};
  std::mutex mutex{};
  std::exception_ptr error{};

  void work() {
    const ScopedDenormalMode mode(denormals);
    inside_parallel_for = true;
    for (std::int64_t begin; (begin = next.fetch_add(chunk)) < count;) {
      try {
        function(context, begin, std::min(begin + chunk, count));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
    inside_parallel_for = false;
  }
};

// Threads that wait for a job, all work on it, and tell when the last of them is done.
class Workers {
 public:
  explicit Workers(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      ++generation_;
      busy_ = threads_.size();
    }
    wake_.notify_all();
    job.work();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void run() {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
      Job* job = job_;
      lock.unlock();
      job->work();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  std::uint64_t generation_ = 0;
  std::size_t busy_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

int thread_count = 1;
std::unique_ptr<Workers> workers;

}  // namespace

int num_threads() { return thread_count; }

void set_num_threads(int count) {
  check(count >= 1 && count <= 1024, "threads", "the number must be 1 to 1024, not {}", count);
  if (count == thread_count) return;
  workers.reset();
  if (count > 1) workers = std::make_unique<Workers>(count - 1);
  thread_count = count;
}

void detail::parallel_for(std::int64_t count, std::int64_t chunk, ChunkFunction function,
                          void* context) {
  if (!workers || count <= chunk || inside_parallel_for) {
    for (std::int64_t begin = 0; begin < count; begin += chunk) {
      function(context, begin, std::min(begin + chunk, count));
    }
    return;
  }
  // Several threads may train models of their own; they take turns with the workers.
  static std::mutex turn;
  const std::lock_guard lock(turn);
  Job job{count, chunk, function, context, DenormalMode::current()};
  workers->run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace maskgrad
