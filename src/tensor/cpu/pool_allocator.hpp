// Standard containers over the pool.
#pragma once

#include <cstddef>
#include <vector>

#include <maskgrad/tensor/cpu/pool.hpp>

namespace maskgrad {

template <class T>
struct PoolAllocator {
  using value_type = T;

  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(Pool::cpu().allocate(n * sizeof(T))); }
  void deallocate(T* block, std::size_t n) { Pool::cpu().deallocate(block, n * sizeof(T)); }
  friend bool operator==(PoolAllocator, PoolAllocator) { return true; }
};

template <class T>
using PoolVector = std::vector<T, PoolAllocator<T>>;

}  // namespace maskgrad
