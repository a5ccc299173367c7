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

/// One operation that let the contents of masked places through.
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
/// place: in the holes of `leaves`, of every operation's output, and of every gradient on its way.
/// `leaves` are parameters and inputs by name. Those without a mask are only compared. There is a
/// leak when a bit differs in a result, in a leaf's gradient, or in a kept place of a value with a
/// mask.
///
/// An operation is blamed in three cases:
///   it changes a kept place of its masked output, or of a result;
///   it computes one number from masked and kept places of an input, as softmax over padding does;
///   it changes a place that by its description depends on no masked place.
/// An operation that carries poison from masked places to places that are dropped later is not
/// blamed: a product of rows does so with a masked row. The operations after a blamed one get clean
/// values, so each is blamed only for its own leak.
/// Restores the leaves' values, and clears their gradients. Throws Error when the contents of
/// masked places decide how many operations run, and for a leaf without a value.
LeakReport check_mask_leaks(const std::function<Variable()>& forward,
                            std::span<const NamedLeaf> leaves);

}  // namespace maskgrad
