// Which layer is at work, for messages and checks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/nested.hpp>

namespace maskgrad {

/// Names what this thread does while the Scope lives. Scopes nest:
///   const Scope scope("attention");   // inside the scope "block0"
///   Scope::path() == "block0.attention"
/// Scopes may end in any order. The path names those that live. A Scope ends on its own thread.
class Scope : private Nested<Scope> {
 public:
  enum Where : bool { kWithin = false, kAlone = true };

  /// With kAlone the path begins here: it leaves out the scopes around. `name` may be a whole path
  /// then. Requires that `name` lives as long as the Scope. An empty name adds nothing to the path.
  explicit Scope(std::string_view name, Where where = kWithin) : name_(name), where_(where) {
    ++changes_;
  }
  ~Scope() { ++changes_; }

  /// The names of all scopes of this thread, outermost first, joined by dots.
  static std::string path();
  /// The same with `more` behind it, unless that is empty. In memory of the pool: a steady training
  /// step calls no malloc.
  static PoolVector<char> path_in_pool(std::string_view more = {});
  /// Appends the same to what is there.
  static void append_path(PoolVector<char>& text, std::string_view more = {});
  /// Another number whenever this thread's path may have become another.
  static std::uint64_t changes() { return changes_; }

 private:
  friend class Nested<Scope>;
  template <class F>
  static void for_each_from(const Scope* scope, F& f) {
    if (scope == nullptr) return;
    if (scope->where_ == kWithin) for_each_from(scope->outer(), f);
    if (!scope->name_.empty()) f(scope->name_);
  }

  static inline thread_local std::uint64_t changes_ = 0;
  std::string_view name_;
  Where where_;
};

}  // namespace maskgrad
