#include <maskgrad/layers/layer.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {

Variable Layer::operator()(const Variable& x) {
  check_given(x.defined(), kind_.c_str(), "its input");
  const bool masked = x.mask().defined();
  check(!masked || rule_ != MaskRule::kUnset, kind_.c_str(),
        "got a mask and does not say what becomes of it; declare keeps, uses, makes, changes or "
        "ends");
  const Scope scope(name());
  Variable y = forward(x);
  check_given(y.defined(), kind_.c_str(), "its output");
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

Variable Layer::on_row(const Variable& row, const ops::Packing& packing) {
  check_given(row.defined(), kind_.c_str(), "its input");
  check_given(packing.segments.defined(), kind_.c_str(), "the packing");
  const std::int64_t kept = packing.segments.numel();
  const auto is_row = [&](const Variable& x) {
    return x.rank() >= 2 && x.dim(0) == 1 && x.dim(1) == kept && !x.mask().defined();
  };
  check(row_work().has_value(), kind_.c_str(),
        "does not say how it runs on a packed row; override row_work(), or unpack() first");
  check(rule_ == MaskRule::kKeeps || rule_ == MaskRule::kUses, kind_.c_str(),
        "can run on a packed row only if it declares keeps or uses, not {}; unpack() first",
        rule_ == MaskRule::kUnset ? "nothing" : to_string(rule_));
  check(is_row(row), kind_.c_str(), "needs a packed row of {} positions, got {}{}", kept,
        row.shape(), row.mask().defined() ? " with a mask" : "");
  const Scope scope(name());
  Variable y = forward_row(row, packing);
  check(is_row(y), kind_.c_str(), "made {}{} of a packed row of {} positions", y.shape(),
        y.mask().defined() ? " with a mask" : "", kept);
  return y;
}

Variable Layer::forward_row(const Variable& row, const ops::Packing&) { return forward(row); }

}  // namespace maskgrad
