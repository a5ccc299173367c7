#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

std::string Scope::path() {
  std::string path;
  for_each([&](std::string_view name) {
    if (!path.empty()) path += '.';
    path += name;
  });
  return path;
}

}  // namespace maskgrad
