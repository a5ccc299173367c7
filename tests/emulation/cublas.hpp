// cuBLAS of the emulated device, as tests see it. It multiplies by plain loops.
#pragma once

#include <string>
#include <vector>

namespace maskgrad::emulation {

/// What the program finds where it looks for cuBLAS, and what it did with it.
struct EmulatedCublas {
  bool is_installed = true;
  std::string lacks = {};          // a function that the library does not have
  int status_of_create = 0;        // what creating a handle returns
  int status_of_products = 0;      // what a product returns; unless 0 it is not computed
  std::string opened = {};         // the file that was asked for last
  std::vector<int> products = {};  // the compute type of each, as they were given to the stream
};
EmulatedCublas& emulated_cublas();

}  // namespace maskgrad::emulation
