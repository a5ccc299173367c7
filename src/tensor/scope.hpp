// Which layer is at work, for messages and checks.
#pragma once

#include <string>
#include <string_view>

#include <maskgrad/tensor/nested.hpp>

namespace maskgrad {

/// Names what this thread does while the Scope lives. Scopes nest:
///   const Scope scope("attention");   // inside the scope "block0"
///   Scope::path() == "block0.attention"
/// Scopes may end in any order. The path names those that live. A Scope ends on its own thread.
class Scope : private Nested<Scope> {
 public:
  /// Requires that `name` lives as long as the Scope. An empty name adds nothing to the path.
  explicit Scope(std::string_view name) : name_(name) {}

  /// The names of all scopes of this thread, outermost first, joined by dots.
  static std::string path();
  /// Calls f(name) for each of these names.
  template <class F>
  static void for_each(F f) {
    for_each_from(innermost(), f);
  }

 private:
  friend class Nested<Scope>;
  template <class F>
  static void for_each_from(const Scope* scope, F& f) {
    if (scope == nullptr) return;
    for_each_from(scope->outer(), f);
    if (!scope->name_.empty()) f(scope->name_);
  }

  std::string_view name_;
};

}  // namespace maskgrad
