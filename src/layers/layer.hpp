// A module that maps one value to another and says what it does with masks.
#pragma once

#include <maskgrad/layers/module.hpp>

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

 protected:
  virtual Variable forward(const Variable& x) = 0;

 private:
  std::string kind_;
  MaskRule rule_;
};

}  // namespace maskgrad
