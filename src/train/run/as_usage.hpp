// Errors of what a caller asked for, told apart from errors of the work itself.
#pragma once

#include <maskgrad/train/run/run_errors.hpp>

namespace maskgrad {

/// Runs `f`; an Error it throws becomes a UsageError.
template <class F>
decltype(auto) as_usage(F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw UsageError(error.name(), error.text());
  }
}

}  // namespace maskgrad
