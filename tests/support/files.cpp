#include "support/files.hpp"

#include <cstdlib>
#include <iterator>
#include <system_error>

#include <gtest/gtest.h>

namespace maskgrad::test {

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "maskgrad_test_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no scratch folder " << name;
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::ptrdiff_t ScratchFolder::count() const {
  return std::distance(std::filesystem::directory_iterator(path_), {});
}

std::filesystem::path source_file(const char* name) {
  return std::filesystem::path(MASKGRAD_SOURCE) / name;
}

std::filesystem::path test_data(const char* name) { return source_file("tests/data") / name; }

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

}  // namespace maskgrad::test
