#include <algorithm>
#include <numeric>

#include <maskgrad/tensor/cpu/start_thread.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/data_loader.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kMostEpochs = std::int64_t{1} << 62;  // more than anyone goes through

}  // namespace

std::int64_t count_batches(std::int64_t samples, std::int64_t batch_size) {
  return samples / batch_size + (samples % batch_size != 0 ? 1 : 0);
}

DataLoader::DataLoader(const Dataset& dataset, Options options, DataPosition start)
    : dataset_(dataset), options_(options), position_(start), reading_(start), ring_(kAhead) {
  check(dataset.size() > 0, "data", "there are no samples");
  check(options.batch_size >= 1, "data", "batch_size must be at least 1, not {}",
        options.batch_size);
  check(start.epoch >= 0 && start.epoch < kMostEpochs && start.batch >= 0 &&
            start.batch < batches_per_epoch(),
        "data", "there is no batch {} in epoch {}: an epoch has {}", start.batch, start.epoch,
        batches_per_epoch());
  reader_ = start_thread("data", "the thread that reads ahead", [this] { read_ahead(); });
}

DataLoader::~DataLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  writable_.notify_all();
  reader_.join();
}

std::int64_t DataLoader::batches_per_epoch() const {
  return count_batches(dataset_.size(), options_.batch_size);
}

void DataLoader::advance(DataPosition& position) const {
  if (++position.batch == batches_per_epoch()) position = {position.epoch + 1, 0};
}

void DataLoader::wait_for_batch(std::unique_lock<std::mutex>& lock) {
  readable_.wait(lock, [this] { return filled_ > 0 || error_; });
  if (filled_ == 0) std::rethrow_exception(error_);
}

Batch DataLoader::peek() {
  std::unique_lock lock(mutex_);
  wait_for_batch(lock);
  return ring_[first_];
}

Batch DataLoader::next() {
  std::unique_lock lock(mutex_);
  wait_for_batch(lock);
  Batch batch = std::move(ring_[first_]);
  first_ = (first_ + 1) % kAhead;
  --filled_;
  // Waking the reader for every batch would cost more than a small step does.
  if (filled_ == kAhead / 2) writable_.notify_one();
  advance(position_);
  return batch;
}

void DataLoader::read_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (filled_ == kAhead) {
      writable_.wait(lock, [this] { return stop_ || filled_ <= kAhead / 2; });
    }
    if (stop_) return;
    lock.unlock();
    Batch batch;
    std::exception_ptr error;
    try {
      batch = collate(reading_);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      error_ = error;
      readable_.notify_one();
      return;
    }
    advance(reading_);
    ring_[(first_ + filled_) % kAhead] = std::move(batch);
    ++filled_;
    readable_.notify_one();
  }
}

Batch DataLoader::collate(DataPosition position) {
  if (order_epoch_ != position.epoch) {
    order_.resize(static_cast<std::size_t>(dataset_.size()));
    std::iota(order_.begin(), order_.end(), 0);
    if (options_.shuffle) {
      // Fisher and Yates: each of the n! orders is as likely as the others.
      Random random(options_.seed, stream_of("shuffle"),
                    static_cast<std::uint64_t>(position.epoch));
      for (std::size_t i = order_.size(); i > 1; --i) {
        std::swap(order_[i - 1], order_[random.below(i)]);
      }
    }
    order_epoch_ = position.epoch;
  }
  const std::int64_t begin = position.batch * options_.batch_size;
  const std::int64_t count = std::min(options_.batch_size, dataset_.size() - begin);
  Batch batch =
      dataset_.collate_in(position.epoch, {order_.data() + begin, static_cast<std::size_t>(count)});
  batch.epoch = position.epoch;
  if (!batch.ids.defined()) {
    batch.ids = Tensor::from(std::span<const std::int64_t>(order_).subspan(
                                 static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
                             {count});
  }
  if (options_.transform) options_.transform(batch);
  return batch;
}

}  // namespace maskgrad
