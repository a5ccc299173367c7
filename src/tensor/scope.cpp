#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

PoolVector<char> Scope::path_in_pool(std::string_view more) {
  PoolVector<char> path;
  const auto append = [&](std::string_view name) {
    if (!path.empty()) path.push_back('.');
    path.insert(path.end(), name.begin(), name.end());
  };
  for_each_from(innermost(), append);
  if (!more.empty()) append(more);
  return path;
}

std::string Scope::path() {
  const PoolVector<char> path = path_in_pool();
  return {path.begin(), path.end()};
}

}  // namespace maskgrad
