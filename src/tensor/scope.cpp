#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

std::string Scope::path() {
  std::string path;
  for (const Scope* scope = innermost(); scope; scope = scope->outer()) {
    if (scope->name_.empty()) continue;
    path.insert(0, path.empty() ? std::string(scope->name_) : std::string(scope->name_) + ".");
  }
  return path;
}

}  // namespace maskgrad
