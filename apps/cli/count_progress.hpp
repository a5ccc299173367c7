// How far long work is, for who sits at a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace maskgrad::apps {

/// A line such as "1,200 of 20,000 samples" that is drawn again as the work goes on, and is gone at
/// the end. Without a terminal, and in the first half second, nothing is drawn.
class CountProgress {
 public:
  explicit CountProgress(std::string noun);
  ~CountProgress() { clear(); }
  CountProgress(const CountProgress&) = delete;
  CountProgress& operator=(const CountProgress&) = delete;

  void show(std::int64_t done, std::int64_t all);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string noun_;
  bool is_shown_, is_drawn_ = false;
  Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(500);
};

}  // namespace maskgrad::apps
