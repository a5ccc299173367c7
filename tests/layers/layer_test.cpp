#include <functional>

#include <gtest/gtest.h>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::mask_of;

using Forward = std::function<Variable(const Variable&)>;

struct Custom : Layer {
  Custom(MaskRule rule, Forward f) : Layer("Custom", rule), f_(std::move(f)) {}
  Variable forward(const Variable& x, Pass&) override { return f_(x); }
  Forward f_;
};

SequenceMask some_mask() { return mask_of({1, 1, 0, 1, 0, 0}, {2, 3}); }
SequenceMask another_mask() { return mask_of({1, 1, 1, 1, 0, 0}, {2, 3}); }
Variable input(SequenceMask mask = {}) {
  return Variable(Tensor::zeros({2, 3, 4}, DType::kFloat32), Variable::kConstant, std::move(mask));
}

// Four things a layer may do with the mask of its input.
Variable passes(const Variable& x) { return x; }
Variable loses(const Variable& x) { return drop_mask(x); }
Variable replaces(const Variable& x) {
  return Variable(x.value(), Variable::kConstant, another_mask());
}
Variable copies(const Variable& x) {
  return Variable(x.value(), Variable::kConstant, SequenceMask(x.mask().bits().clone()));
}

std::string calling(MaskRule rule, const Forward& forward, SequenceMask mask = some_mask()) {
  Custom layer(rule, forward);
  return error_of([&] { layer(input(std::move(mask))); });
}

TEST(Layer, MayPassTheMaskOnAsItsRuleSays) {
  EXPECT_EQ(calling(MaskRule::kKeeps, passes), "no error");
  EXPECT_EQ(calling(MaskRule::kKeeps, copies), "no error") << "positions count, not identity";
  EXPECT_EQ(calling(MaskRule::kUses, passes), "no error");
  EXPECT_EQ(calling(MaskRule::kMakes, replaces), "no error");
  EXPECT_EQ(calling(MaskRule::kChanges, replaces), "no error");
  EXPECT_EQ(calling(MaskRule::kEnds, loses), "no error");
}

TEST(Layer, ThatKeepsOrUsesAMaskMustNotLoseOrReplaceIt) {
  for (const Forward& forward : {Forward(loses), Forward(replaces)}) {
    EXPECT_EQ(calling(MaskRule::kKeeps, forward),
              "[Custom] says that it keeps the mask, but its output does not carry it");
    EXPECT_EQ(calling(MaskRule::kUses, forward),
              "[Custom] says that it uses the mask, but its output does not carry it");
  }
}

TEST(Layer, ThatMakesOrChangesAMaskMustGiveOne) {
  EXPECT_EQ(calling(MaskRule::kMakes, loses),
            "[Custom] says that it makes a mask, but its output has none");
  EXPECT_EQ(calling(MaskRule::kMakes, passes, {}),
            "[Custom] says that it makes a mask, but its output has none");
  EXPECT_EQ(calling(MaskRule::kChanges, loses),
            "[Custom] says that it changes the mask, but its output has none");
}

TEST(Layer, ThatEndsAMaskMustNotPassOneOn) {
  EXPECT_EQ(calling(MaskRule::kEnds, passes),
            "[Custom] says that it ends the mask, but its output has one");
}

TEST(Layer, ThatSaysNothingThrowsAsSoonAsAMaskArrives) {
  bool was_called = false;
  const Forward notes = [&](const Variable& x) {
    was_called = true;
    return x;
  };
  EXPECT_EQ(calling(MaskRule::kUnset, notes),
            "[Custom] got a mask and does not say what becomes of it; declare keeps, uses, makes, "
            "changes or ends");
  EXPECT_FALSE(was_called);
  EXPECT_EQ(calling(MaskRule::kUnset, notes, {}), "no error");
  EXPECT_TRUE(was_called);
}

TEST(Layer, MayGetNoMaskWhateverItsRule) {
  for (const MaskRule rule :
       {MaskRule::kUnset, MaskRule::kKeeps, MaskRule::kUses, MaskRule::kChanges, MaskRule::kEnds}) {
    EXPECT_EQ(calling(rule, passes, {}), "no error") << to_string(rule);
  }
}

TEST(Layer, ThatKeepsMasksMustNotMakeOneUp) {
  EXPECT_EQ(calling(MaskRule::kKeeps, replaces, {}),
            "[Custom] says that it keeps the mask, but its output has one and its input none");
}

TEST(Layer, TellsItsKindAndItsRule) {
  const Custom layer(MaskRule::kUses, passes);
  EXPECT_EQ(layer.kind(), "Custom");
  EXPECT_EQ(layer.mask_rule(), MaskRule::kUses);
}

// A layer that can also be called with two inputs.
struct TwoInputs : Layer {
  TwoInputs(MaskRule rule, Forward f) : Layer("TwoInputs", rule), f_(std::move(f)) {}
  Variable forward(const Variable& x, Pass&) override { return f_(x); }
  Variable with(const Variable& x, const Variable& other, Pass& pass) {
    return checked(x, pass, [&] { return ops::add(f_(x), other); });
  }
  Forward f_;
};

TEST(Layer, ChecksACallOfAnotherKindToo) {
  const auto error = [](MaskRule rule, const Forward& f, const Variable& x, Pass pass = {}) {
    TwoInputs layer(rule, f);
    return error_of([&] { layer.with(x, input(), pass); });
  };
  EXPECT_EQ(error(MaskRule::kUses, passes, input(some_mask())), "no error");
  EXPECT_EQ(error(MaskRule::kUses, loses, input(some_mask())),
            "[TwoInputs] says that it uses the mask, but its output does not carry it");
  EXPECT_EQ(error(MaskRule::kUnset, passes, input(some_mask())),
            "[TwoInputs] got a mask and does not say what becomes of it; declare keeps, uses, "
            "makes, changes or ends");
  EXPECT_EQ(error(MaskRule::kUses, passes, Variable()),
            "[TwoInputs] its input was used before it was given a value");
  EXPECT_EQ(error(MaskRule::kUses, passes, input(), Pass().on_row(ops::packing_of(some_mask()))),
            "[TwoInputs] does not say how it runs on a packed row; override row_work(), or "
            "unpack() first");
}

}  // namespace
}  // namespace maskgrad
