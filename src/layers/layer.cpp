#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/layer_observer.hpp>

namespace maskgrad {
namespace {

bool is_row(const Variable& x, const ops::Packing& packing) {
  return x.rank() >= 2 && x.dim(0) == 1 && x.dim(1) == packing.segments.numel() &&
         !x.mask().defined();
}

const char* with_mask_or_not(const Variable& x) { return x.mask().defined() ? " with a mask" : ""; }

}  // namespace

Variable Layer::operator()(const Variable& x, Pass& pass) {
  return checked(x, pass, [&] { return forward(x, pass); });
}

std::optional<Hardened> Layer::harden() { return std::nullopt; }

void Layer::check_before(const Variable& x, const Pass& pass) const {
  if (pass.packing() == nullptr) {
    check(of_layers_ || !x.mask().defined() || rule_ != MaskRule::kUnset, kind_.c_str(),
          "got a mask and does not say what becomes of it; declare keeps, uses, makes, changes or "
          "ends");
    return;
  }
  check(row_work().has_value(), kind_.c_str(),
        "does not say how it runs on a packed row; override row_work(), or unpack() first");
  check(of_layers_ || rule_ == MaskRule::kKeeps || rule_ == MaskRule::kUses, kind_.c_str(),
        "can run on a packed row only if it declares keeps or uses, not {}; unpack() first",
        rule_ == MaskRule::kUnset ? "nothing" : to_string(rule_));
  check(is_row(x, *pass.packing()), kind_.c_str(), "needs a packed row of {} positions, got {}{}",
        pass.packing()->segments.numel(), x.shape(), with_mask_or_not(x));
}

void Layer::check_after(const Variable& x, const Variable& y, const Pass& pass) const {
  check_given(y.defined(), kind_.c_str(), "its output");
  if (pass.packing() != nullptr) {
    check(is_row(y, *pass.packing()), kind_.c_str(), "made {}{} of a packed row of {} positions",
          y.shape(), with_mask_or_not(y), pass.packing()->segments.numel());
  } else {
    check_rule(x, y);
  }
  if (LayerObserver* observer = LayerObserver::innermost()) observer->on_layer(*this, x, y);
}

void Layer::check_rule(const Variable& x, const Variable& y) const {
  const bool masked = x.mask().defined();
  switch (rule_) {
    case MaskRule::kUnset:
      break;
    case MaskRule::kKeeps:
    case MaskRule::kUses:
      check(!masked || y.mask() == x.mask(), kind_.c_str(),
            "says that it {} the mask, but its output does not carry it", to_string(rule_));
      check(masked || !y.mask().defined(), kind_.c_str(),
            "says that it {} the mask, but its output has one and its input none",
            to_string(rule_));
      break;
    case MaskRule::kMakes:
      check(y.mask().defined(), kind_.c_str(),
            "says that it makes a mask, but its output has none");
      break;
    case MaskRule::kChanges:
      check(!masked || y.mask().defined(), kind_.c_str(),
            "says that it changes the mask, but its output has none");
      break;
    case MaskRule::kEnds:
      check(!y.mask().defined(), kind_.c_str(),
            "says that it ends the mask, but its output has one");
      break;
  }
}

}  // namespace maskgrad
