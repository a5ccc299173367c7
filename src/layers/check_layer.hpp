// What every layer promises, and whether one keeps it. For whoever writes a layer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// A layer to be checked.
struct LayerSample {
  /// The layer gets values [B, S, kFeatures], with S = kLength and sometimes more.
  static constexpr std::int64_t kLength = 4, kFeatures = 5;

  std::string name;  // letters and digits
  std::function<std::unique_ptr<Layer>()> make;
  bool any_length = true;  // false: only S = kLength fits
};

/// Adds a sample to layer_samples(). Returns true, for the initialiser of a constant. Throws Error
/// for a name that is taken or has other characters, and for a sample without a function.
bool register_layer(LayerSample sample);
/// All samples that were registered, in the order of their names.
const std::vector<LayerSample>& layer_samples();

/// Tries the layer in a model that masks and embeds tokens, in float64. Its batch has padding, a
/// hole within a sequence, and a sequence with nothing but padding. A layer keeps its promises when
///   nothing masked reaches a result or a gradient: check_mask_leaks() and prove_mask() hold;
///   its gradients are those of central differences;
///   its recorded step, run again with other parameters, gives what the layer gives with them;
///   more padding changes nothing, to 1e-12, if any length fits;
///   a mask that keeps everything gives the same bits as no mask;
///   on a packed row, if it can run there, the first four hold too, and loss and gradients are
///   those of the padded batch, to 1e-12.
/// The first four are tried in training too; the others in inference only. A layer that draws a
/// number for each element keeps the fourth in training if it draws by Pass::places().
/// Returns a text for each promise that is broken, and for each Error that the layer throws; none
/// when all hold. Throws Error as register_layer(), but a name that is taken is no error, and when
/// it is called before operations are registered, by the initialiser of a constant.
std::vector<std::string> check_layer(const LayerSample& sample);

}  // namespace maskgrad
