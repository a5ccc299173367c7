// Layers one after another.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// What a table of a model says of one layer.
struct LayerSummary {
  std::string name;
  std::string kind;
  Shape output;  // for the batch that was run through
  std::int64_t parameters;
  MaskRule mask_rule;
};

/// When layers run on the packed row of a batch: never, where plan_packing() expects less work, or
/// always.
enum class PackWhen : std::uint8_t { kNever, kAuto, kAlways };
/// "never", "auto", "always".
std::string_view to_string(PackWhen when);
/// The inverse. Throws Error for any other text.
PackWhen pack_when_from_string(std::string_view name);

/// What becomes of a batch in a stretch of layers that can run on its packed row.
struct PackingSummary {
  std::string first, last;  // names of layers
  ops::PackingPlan plan;
};
/// "embed to reflect pads: 80 positions and ...", in one line.
std::string to_string(const PackingSummary& summary);

/// Each layer gets the output of the one before it.
///   Sequential model;
///   model.add<Embed>("embed", 20, 15).add<Dense>("dense", 15, 2);
class Sequential : public Layer {
 public:
  Sequential() : Layer("Sequential", OfLayers{}) {}

  /// Makes an L from `args` and appends it; its parameters get names "name.…".
  template <class L, class... Args>
  Sequential& add(const std::string& name, Args&&... args) {
    layers_.push_back({name, &submodule(name, std::make_unique<L>(std::forward<Args>(args)...))});
    return *this;
  }

  /// The layer of this name. Throws Error when there is none.
  Layer& layer(const std::string& name) const;

  /// The layers, in their order.
  std::vector<Layer*> layers() const;
  /// Puts a layer in the place of the one of that name, and returns that one. A ParameterBuffer of
  /// the model still belongs to the old layer: make a new one. Throws Error where there is no such
  /// layer, and when `layer` is null.
  std::unique_ptr<Module> replace(const std::string& name, std::unique_ptr<Layer> layer);

  /// Says when values that carry a mask are packed. A stretch of layers that can run on a packed
  /// row (Layer::row_work()) then runs there. Its output is unpacked, with the mask on it. Results
  /// and gradients are the same either way, up to rounding and random numbers. A pass that does not
  /// allow it (Pass::may_pack()) is never packed; generation's are such.
  Sequential& pack(PackWhen when);
  /// Runs `x` through the layers, without recording, and says for each stretch whether it is
  /// packed.
  std::vector<PackingSummary> explain_packing(const Variable& x);

  /// The sum of its layers' work, if each can run on a row; otherwise nothing.
  std::optional<ops::Work> row_work() const override;

  /// Runs `x` through the layers, without recording, and describes each layer.
  std::vector<LayerSummary> summarize(const Variable& x);

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  struct Part {
    std::string name;
    Layer* layer;
  };
  // Layers [first, end) that run one after another, and on the packed row if there is a plan.
  struct Stretch {
    std::size_t first, end;
    std::optional<ops::PackingPlan> plan;
  };
  Stretch stretch_at(std::size_t first, const SequenceMask& mask, const Pass& pass) const;
  Variable run(const Stretch& stretch, const Variable& x, Pass& pass) const;

  std::vector<Part> layers_;
  PackWhen pack_ = PackWhen::kNever;
};

}  // namespace maskgrad
