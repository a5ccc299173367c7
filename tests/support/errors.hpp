// The text of an error, for tests that compare it whole.
#pragma once

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::test {

/// The text of the maskgrad::Error that `call` throws, which must be one line; "no error" when it
/// throws nothing. Any other exception passes through and fails the test.
template <class F>
std::string error_of(F&& call) {
  try {
    static_cast<void>(std::forward<F>(call)());
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << "more than one line: " << text;
    return text;
  }
  return "no error";
}

}  // namespace maskgrad::test
