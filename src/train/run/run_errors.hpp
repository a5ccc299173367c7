// What whoever starts a run did wrong, told apart from what went wrong in it.
#pragma once

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// The request contradicts itself or the folder. The caller must ask for something else. The
/// command line ends with code 2 for it, where other errors give 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Runs `f`; an Error it throws becomes a UsageError.
template <class F>
decltype(auto) as_usage(F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw UsageError(error.name(), error.text());
  }
}

/// What an error says for std::bad_alloc.
inline constexpr const char* kNoMoreMemory = "the system has no more";

}  // namespace maskgrad
