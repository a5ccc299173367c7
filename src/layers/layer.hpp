// A module that maps one value to another and says what it does with masks.
#pragma once

#include <optional>

#include <maskgrad/layers/module.hpp>
#include <maskgrad/ops/mask/packing.hpp>

namespace maskgrad {

/// Base of layers. A layer gives its kind and its rule to this constructor and overrides forward():
///
///   struct Scale : Layer {
///     explicit Scale(std::int64_t features)
///         : Layer("Scale", MaskRule::kKeeps), weight(parameter("weight", {features}, ones())) {}
///     Variable forward(const Variable& x) override { return ops::multiply(x, weight); }
///     Parameter& weight;
///   };
///
/// Calling it checks that what it says about masks is what it does:
///   keeps, uses: its output carries the mask of its input;
///   makes, changes: its output carries a mask;  ends: its output carries none.
/// A layer that says nothing throws as soon as a mask reaches it, so no mask is lost in silence.
class Layer : public Module {
 public:
  explicit Layer(std::string kind, MaskRule rule = MaskRule::kUnset)
      : kind_(std::move(kind)), rule_(rule) {}

  virtual Variable operator()(const Variable& x);

  /// "Dense", for messages and tables.
  const std::string& kind() const { return kind_; }
  MaskRule mask_rule() const { return rule_; }

  /// What a layer that can run on the packed row of a batch has to do there; nothing, as here, for
  /// one that cannot. A layer that computes each position by itself overrides only this; one that
  /// looks at other positions, or at where a position stands, forward_row() too.
  virtual std::optional<ops::Work> row_work() const { return std::nullopt; }

  /// The layer on a packed row, [1, K, ...] -> [1, K, ...]: pack(layer(unpack(row))), to rounding,
  /// without computing padding. Throws Error when row_work() gives nothing, when the rule is not to
  /// keep or use the mask, and when what comes or what it gives is no such row.
  virtual Variable on_row(const Variable& row, const ops::Packing& packing);

 protected:
  virtual Variable forward(const Variable& x) = 0;
  /// What on_row() runs: forward(row), for each position by itself.
  virtual Variable forward_row(const Variable& row, const ops::Packing& packing);

 private:
  std::string kind_;
  MaskRule rule_;
};

}  // namespace maskgrad
