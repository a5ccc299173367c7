#include <maskgrad/layers/layer.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

Variable Layer::operator()(const Variable& x) {
  const bool masked = x.mask().defined();
  check(!masked || rule_ != MaskRule::kUnset, kind_.c_str(),
        "got a mask and does not say what becomes of it; declare keeps, uses, makes, changes or "
        "ends");
  const Scope scope(name());
  Variable y = forward(x);
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
  return y;
}

}  // namespace maskgrad
