#include "output.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::apps {
namespace {

[[noreturn]] void fail_output(int code) {
  fail("stdout", "cannot write the results: {}", std::generic_category().message(code));
}

}  // namespace

void write_output(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_output(errno);
}

void flush_output() {
  if (std::fflush(stdout) != 0) fail_output(errno);
}

void write_message(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace maskgrad::apps
