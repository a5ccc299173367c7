// The endless sequence of batches that a run trains on.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

/// Where a run stands in its data.
struct DataPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;  // within the epoch

  friend bool operator==(DataPosition, DataPosition) = default;
};

/// The number of batches of an epoch. The last one may be smaller. Requires batch_size >= 1.
std::int64_t count_batches(std::int64_t samples, std::int64_t batch_size);

/// Cuts each epoch's samples into batches. The last batch of an epoch may be smaller. Samples come
/// in the order of their numbers, or in an order drawn for each epoch by (seed, epoch). A thread of
/// the loader's own collates batches ahead. A batch depends on its position alone, so a run can go
/// on anywhere. The loader sets Batch::epoch, and Batch::ids where the data set leaves them
/// undefined.
class DataLoader {
 public:
  struct Options {
    std::int64_t batch_size = 1;
    bool shuffle = false;
    std::uint64_t seed = 0;
    /// The reading thread calls it for each batch, to augment it for example. It should depend on
    /// the batch alone (its ids and epoch included). Otherwise a run that goes on sees other data.
    std::function<void(Batch&)> transform = {};
  };

  /// `dataset` must outlive the loader. Throws Error when it is empty, when batch_size < 1, when an
  /// epoch has no batch `start`, and when the system refuses the thread.
  DataLoader(const Dataset& dataset, Options options, DataPosition start = {});
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  std::int64_t batches_per_epoch() const;
  /// Returns the batch at position(), and moves the position on. Throws what reading it threw.
  Batch next();
  /// The batch that next() will return. Do not write to its tensors: next() returns the same ones.
  /// Throws as next().
  Batch peek();
  /// The position of the batch that next() will return.
  DataPosition position() const { return position_; }

 private:
  // Enough that one wake-up of the reading thread serves many steps, however short they are.
  static constexpr std::size_t kAhead = 64;

  void wait_for_batch(std::unique_lock<std::mutex>& lock);
  void read_ahead();
  Batch collate(DataPosition position);
  void advance(DataPosition& position) const;

  const Dataset& dataset_;
  Options options_;
  DataPosition position_;

  // The reading thread's own.
  DataPosition reading_;
  std::int64_t order_epoch_ = -1;
  std::vector<std::int64_t> order_;

  // Between the two threads: a ring of finished batches.
  std::mutex mutex_;
  std::condition_variable readable_, writable_;
  std::vector<Batch> ring_;
  std::size_t first_ = 0, filled_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread reader_;
};

}  // namespace maskgrad
