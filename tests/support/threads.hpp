// A number of threads for a scope.
#pragma once

#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::test {

/// While one lives, parallel_for uses `count` threads; afterwards as many as before.
class WithThreads {
 public:
  explicit WithThreads(int count) : former_(num_threads()) { set_num_threads(count); }
  ~WithThreads() { set_num_threads(former_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int former_;
};

}  // namespace maskgrad::test
