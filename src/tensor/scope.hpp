// Which layer is at work, for messages and checks.
#pragma once

#include <string>
#include <string_view>

#include <maskgrad/tensor/nested.hpp>

namespace maskgrad {

/// Names what this thread does while it lives; scopes nest:
///   const Scope scope("attention");   // inside the scope "block0"
///   Scope::path() == "block0.attention"
/// Scopes may end in any order: the path names those that live.
class Scope : private Nested<Scope> {
 public:
  /// `name` must live as long. An empty one adds nothing to the path.
  explicit Scope(std::string_view name) : name_(name) {}

  /// The names of all scopes of this thread, outermost first, joined by dots.
  static std::string path();

 private:
  friend class Nested<Scope>;
  std::string_view name_;
};

}  // namespace maskgrad
