// A module that maps one value to another and says what it does with masks.
#pragma once

#include <optional>

#include <maskgrad/layers/module.hpp>
#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// Base of layers. A layer gives its kind and its rule to this constructor and overrides forward():
///
///   struct Scale : Layer {
///     explicit Scale(std::int64_t features)
///         : Layer("Scale", MaskRule::kKeeps), weight(parameter("weight", {features}, ones())) {}
///     Variable forward(const Variable& x, Pass&) override { return ops::multiply(x, weight); }
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

  /// The layer's output for x in this pass. On a packed row (Pass::packing()) x and the output are
  /// [1, K, ...] without a mask, and the output is what pack() makes of the layer's output for the
  /// batch, to rounding, and but for what it draws at random. Throws Error where the layer breaks
  /// its rule, and on a packed row where row_work() gives nothing or the rule is neither to keep
  /// nor to use the mask.
  Variable operator()(const Variable& x, Pass& pass);
  /// In a pass of its own, which is inference.
  Variable operator()(const Variable& x) {
    Pass pass;
    return (*this)(x, pass);
  }

  /// "Dense", for messages and tables.
  const std::string& kind() const { return kind_; }
  MaskRule mask_rule() const { return rule_; }

  /// What a layer that can run on the packed row of a batch has to do there; nothing, as here, for
  /// one that cannot. A layer that computes each position by itself needs no more than this. One
  /// that looks at other positions, or at where a position stands, asks the pass for them.
  virtual std::optional<ops::Work> row_work() const { return std::nullopt; }

 protected:
  virtual Variable forward(const Variable& x, Pass& pass) = 0;

  /// For a layer made of layers. They check by themselves what becomes of masks; nobody checks what
  /// else its own forward() does to them.
  struct OfLayers {};
  Layer(std::string kind, OfLayers) : kind_(std::move(kind)), of_layers_(true) {}

 private:
  void check_before(const Variable& x, const Pass& pass) const;
  void check_after(const Variable& x, const Variable& y, const Pass& pass) const;
  void check_rule(const Variable& x, const Variable& y) const;

  std::string kind_;
  MaskRule rule_ = MaskRule::kUnset;
  bool of_layers_ = false;
};

}  // namespace maskgrad
