#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

thread_local const Scope* current = nullptr;

}  // namespace

Scope::Scope(std::string_view name) : name_(name), outer_(current) { current = this; }

Scope::~Scope() { current = outer_; }

std::string Scope::path() {
  std::string path;
  for (const Scope* scope = current; scope; scope = scope->outer_) {
    if (scope->name_.empty()) continue;
    path.insert(0, path.empty() ? std::string(scope->name_) : std::string(scope->name_) + ".");
  }
  return path;
}

}  // namespace maskgrad
