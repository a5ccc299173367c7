// Things of one thread that nest.
#pragma once

namespace maskgrad {

/// Base of things that nest on a thread, T itself derived from it: the one made last, of those that
/// live, counts. They may end in any order, on the thread that made them.
template <class T>
class Nested {
 public:
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  /// The one that counts on this thread, or nullptr.
  static T* innermost() { return static_cast<T*>(innermost_); }

 protected:
  Nested() : outer_(innermost_) { innermost_ = this; }
  ~Nested() {
    for (Nested** place = &innermost_; *place; place = &(*place)->outer_) {
      if (*place != this) continue;
      *place = outer_;
      return;
    }
  }
  /// The next one around this, or nullptr.
  T* outer() const { return static_cast<T*>(outer_); }

 private:
  static inline thread_local Nested* innermost_ = nullptr;
  Nested* outer_;
};

}  // namespace maskgrad
