#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

void Scope::append_path(PoolVector<char>& text, std::string_view more) {
  const std::size_t begin = text.size();
  const auto append = [&](std::string_view name) {
    if (text.size() > begin) text.push_back('.');
    text.insert(text.end(), name.begin(), name.end());
  };
  for_each_from(innermost(), append);
  if (!more.empty()) append(more);
}

PoolVector<char> Scope::path_in_pool(std::string_view more) {
  PoolVector<char> path;
  append_path(path, more);
  return path;
}

std::string Scope::path() {
  const PoolVector<char> path = path_in_pool();
  return {path.begin(), path.end()};
}

}  // namespace maskgrad
