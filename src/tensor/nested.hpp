// Things of one thread that nest.
#pragma once

namespace maskgrad {

/// Base of a type T whose objects nest on a thread: class T : Nested<T>. Of the objects that live,
/// the one made last is the innermost. They may end in any order, on the thread that made them.
template <class T>
class Nested {
 public:
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  /// The innermost object of this thread, or nullptr.
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
