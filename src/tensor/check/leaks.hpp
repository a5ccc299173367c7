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

/// One operation whose result changed with what stood in masked places.
struct MaskLeak {
  std::string op;     // "matmul"
  std::string layer;  // "block0.attention", empty outside of layers
  std::string what;   // "output", or "gradient of input 1"
  Shape shape;
  std::int64_t element = 0;  // the first that changed, in row-major order
  double clean = 0, poisoned = 0;
  double poison = 0;
};
/// "matmul in layer 'reflect' reads masked places: element 3 of its output (2, 20, 15) is 0.1, and
/// nan with nan there".
std::string to_string(const MaskLeak& leak);

struct LeakReport {
  std::vector<MaskLeak> leaks;     // one for each operation that leaks, in the order they ran
  std::int64_t operations = 0;     // outputs compared in each run
  std::int64_t gradients = 0;      // gradients compared in each run
  std::int64_t masked_places = 0;  // elements that held poison in each run

  bool holds() const { return leaks.empty(); }
};
std::string to_string(const LeakReport& report);

/// Runs `forward` and its backward pass once with 0 and once with each poison in every masked
/// place: in the holes of `leaves` (parameters and inputs by name; those without a mask are only
/// compared), in those of what every operation gives, and of every gradient on its way. Compares
/// what stands at kept places bit for bit. An operation is blamed once; what follows it goes on
/// with clean values. Restores the leaves' values and leaves them without gradients.
/// An operation leaks also if it runs only for some of what stands in masked places.
LeakReport check_mask_leaks(const std::function<Variable()>& forward,
                            std::span<const NamedLeaf> leaves);

}  // namespace maskgrad
