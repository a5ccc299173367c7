// What ends a run whose numbers are not finite any more.
#pragma once

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// A loss, gradient or weight is not finite. The same steps would fail again. To go on from what
/// was saved, take a smaller learning rate.
class Diverged : public Error {
 public:
  using Error::Error;
};

}  // namespace maskgrad
