#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

thread_local const Scope* Scope::current_ = nullptr;

std::string Scope::path() {
  std::string path;
  for (const Scope* scope = current_; scope; scope = scope->outer_) {
    if (scope->name_.empty()) continue;
    path.insert(0, path.empty() ? std::string(scope->name_) : std::string(scope->name_) + ".");
  }
  return path;
}

}  // namespace maskgrad
