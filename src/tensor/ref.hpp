// Shared ownership with the count inside the object: one pointer wide, no control block.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include <maskgrad/tensor/cpu/pool.hpp>

namespace maskgrad {

/// Base of objects held by Ref<T>. Their memory comes from the pool, so making one in a steady
/// training step calls no malloc.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;

  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  bool is_shared() const { return count_.load(std::memory_order_acquire) > 1; }

  static void* operator new(std::size_t bytes) { return Pool::cpu().allocate(bytes); }
  static void* operator new(std::size_t, void* place) { return place; }
  static void operator delete(void* block, std::size_t bytes) {
    Pool::cpu().deallocate(block, bytes);
  }
  static void operator delete(void*, void*) {}

 private:
  mutable std::atomic<std::size_t> count_{0};
};

/// A counted reference to a RefCounted object, or to nothing.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace maskgrad
