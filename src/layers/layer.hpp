// A module that maps one value to another and says what it does with masks.
#pragma once

#include <optional>

#include <maskgrad/layers/hardened.hpp>
#include <maskgrad/layers/module.hpp>
#include <maskgrad/layers/pass.hpp>
#include <maskgrad/tensor/scope.hpp>

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
/// A call checks that the layer treats masks as its rule says:
///   keeps, uses: its output carries the mask of its input, and none if the input has none;
///   makes: its output carries a mask;
///   changes: its output carries a mask if its input does;
///   ends: its output carries none.
/// A layer without a rule throws Error when a mask reaches it, so no mask is lost in silence.
class Layer : public Module {
 public:
  explicit Layer(std::string kind, MaskRule rule = MaskRule::kUnset)
      : kind_(std::move(kind)), rule_(rule) {}

  /// The layer's output for x in this pass. On a packed row (Pass::packing()) x and the output are
  /// [1, K, ...] without a mask. The output is then pack() of the layer's output for the batch, up
  /// to rounding and random numbers.
  /// Throws Error for an x that the layer does not take, and when the layer breaks its rule. Every
  /// Error made here names the innermost layer at work: "[linear] in layer 'block3.dense': ...". On
  /// a packed row it also throws Error when row_work() gives nothing, and when the rule is neither
  /// to keep nor to use the mask.
  Variable operator()(const Variable& x, Pass& pass);
  /// The output in inference, in a pass of its own.
  Variable operator()(const Variable& x) {
    Pass pass;
    return (*this)(x, pass);
  }

  /// "Dense", for messages and tables.
  const std::string& kind() const { return kind_; }
  MaskRule mask_rule() const { return rule_; }

  /// The work on the packed row of a batch. Nothing, the default, says that the layer cannot run
  /// there. A layer that computes each position by itself only has to override this. A layer that
  /// looks at other positions, or at the number of a position, must also ask the pass for them.
  /// A matrix counts 3 for each of its elements: a product and two gradients. What is done to
  /// single features counts only in a layer without matrices.
  virtual std::optional<ops::Work> row_work() const { return std::nullopt; }

  /// The layer to take in the place of this one once its gates are trained. Nothing, the default,
  /// says that this one stays. Throws Error where a parameter has no value. See harden.hpp for a
  /// whole model.
  virtual std::optional<Hardened> harden();

 protected:
  virtual Variable forward(const Variable& x, Pass& pass) = 0;

  /// What f() gives, checked as a call on x is. For a layer that can also be called in another way,
  /// such as with two inputs. Throws Error as operator().
  template <class F>
  Variable checked(const Variable& x, const Pass& pass, F f) const {
    const Scope scope(name());
    check_given(x.defined(), kind_.c_str(), "its input");
    check_before(x, pass);
    Variable y = f();
    check_after(x, y, pass);
    return y;
  }

  /// For a layer made of layers. The inner layers check their own rules. What forward() does with
  /// masks between them is not checked.
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
