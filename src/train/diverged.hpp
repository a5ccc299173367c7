// What ends a run whose numbers are not finite any more.
#pragma once

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// A loss, gradient or weight is not finite. The same steps would end the run again: whoever goes
/// on from what was saved takes a smaller learning rate.
class Diverged : public Error {
 public:
  using Error::Error;
};

}  // namespace maskgrad
