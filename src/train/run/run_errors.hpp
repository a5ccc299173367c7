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

}  // namespace maskgrad
