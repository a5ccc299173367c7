// Does anything that is masked reach a result? Tried out with poison.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/gradients.hpp>

namespace maskgrad {

/// What is put into masked places: 1e30, -1e30, Inf, -Inf, NaN.
std::span<const double> mask_poisons();

/// One operation that let what stood in masked places through.
struct MaskLeak {
  std::string op;     // "softmax"
  std::string layer;  // "block0.attention", empty outside of layers
  std::string what;   // "output", or "gradient of input 1"
  Shape shape;
  std::int64_t element = 0;  // the first that it should not have changed, in row-major order
  double clean = 0, poisoned = 0;
  double poison = 0;
};
/// "softmax in layer 'reflect' reads masked places: element 3 of its output (4, 20, 20) is 0.1, and
/// nan with nan there".
std::string to_string(const MaskLeak& leak);

struct LeakReport {
  std::vector<MaskLeak> leaks;     // one for each operation that leaks, in the order they ran
  std::int64_t operations = 0;     // in each run
  std::int64_t masked_places = 0;  // elements of their outputs that held poison

  bool holds() const { return leaks.empty(); }
};
std::string to_string(const LeakReport& report);

/// Runs `forward` and its backward pass once with 0 and once with each poison in every masked
/// place: in the holes of `leaves` (parameters and inputs by name; those without a mask are only
/// compared), in those of what every operation gives, and of every gradient on its way. It leaks
/// when a bit of a result, of a leaf's gradient, or of a kept place of a value with a mask differs.
///
/// To blame is an operation that changes a kept place of its masked output, or of a result; that
/// makes one number of masked and kept places of an input (softmax over padding); or that changes a
/// place which, by its description, depends on nothing that is masked. Carrying rubbish on, as a
/// product of rows does with a row that was masked, is no leak as long as somebody drops it. What
/// follows an operation that is blamed goes on with clean values, so each is blamed for its own.
/// Restores the leaves' values and leaves them without gradients. Throws Error when what runs
/// depends on what stands in masked places.
LeakReport check_mask_leaks(const std::function<Variable()>& forward,
                            std::span<const NamedLeaf> leaves);

}  // namespace maskgrad
