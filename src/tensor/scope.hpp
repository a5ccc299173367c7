// Which layer is at work, for messages and checks.
#pragma once

#include <string>
#include <string_view>

namespace maskgrad {

/// Names what this thread does while it lives; scopes nest:
///   const Scope scope("attention");   // inside the scope "block0"
///   Scope::path() == "block0.attention"
class Scope {
 public:
  /// `name` must live as long. An empty one adds nothing to the path.
  explicit Scope(std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// The names of all scopes of this thread, outermost first, joined by dots.
  static std::string path();

 private:
  std::string_view name_;
  const Scope* outer_;
};

}  // namespace maskgrad
