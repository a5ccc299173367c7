// What a layer must keep to on the packed row of a batch.
#include <functional>

#include <gtest/gtest.h>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::mask_of;

struct Custom : Layer {
  Custom(MaskRule rule, std::optional<ops::Work> work, std::function<Variable(const Variable&)> f)
      : Layer("Custom", rule), work_(work), f_(std::move(f)) {}
  std::optional<ops::Work> row_work() const override { return work_; }
  Variable forward(const Variable& x, Pass&) override { return f_(x); }
  std::optional<ops::Work> work_;
  std::function<Variable(const Variable&)> f_;
};

TEST(OnRow, IsRefusedByLayersThatDoNotFitIt) {
  const SequenceMask mask = mask_of({1, 1, 0, 1, 0, 0}, {2, 3});
  const ops::Packing packing = ops::packing_of(mask);
  const Variable row(make({1, 2, 3}, {1, 3}));
  const auto said = [&](MaskRule rule, std::optional<ops::Work> work, const Variable& x,
                        const std::function<Variable(const Variable&)>& f) {
    Pass pass = Pass().on_row(packing);
    return error_of([&] { Custom(rule, work, f)(x, pass); });
  };
  const auto same = [](const Variable& x) { return x; };
  const ops::Work work;
  EXPECT_EQ(said(MaskRule::kKeeps, work, row, same), "no error");
  EXPECT_EQ(said(MaskRule::kKeeps, {}, row, same),
            "[Custom] does not say how it runs on a packed row; override row_work(), or unpack() "
            "first");
  EXPECT_EQ(said(MaskRule::kEnds, work, row, same),
            "[Custom] can run on a packed row only if it declares keeps or uses, not ends; "
            "unpack() first");
  EXPECT_EQ(said(MaskRule::kUnset, work, row, same),
            "[Custom] can run on a packed row only if it declares keeps or uses, not nothing; "
            "unpack() first");
  EXPECT_EQ(said(MaskRule::kKeeps, work, Variable(make({1, 2}, {1, 2})), same),
            "[Custom] needs a packed row of 3 positions, got (1, 2)");
  EXPECT_EQ(said(MaskRule::kKeeps, work, row,
                 [](const Variable&) {
                   return Variable(make({1, 2}, {1, 2}));
                 }),
            "[Custom] made (1, 2) of a packed row of 3 positions");
}

TEST(OnRow, IsNothingForAReflectThatReadsPadding) {
  ASSERT_TRUE(Reflect(5).row_work().has_value());
  EXPECT_EQ(Reflect(5).row_work()->per_position, 9 * 25);
  EXPECT_EQ(Reflect(5).row_work()->per_pair, 7 * 5 + 32);
  EXPECT_FALSE(Reflect(5, MaskAxis::kQuery).row_work().has_value());
  EXPECT_FALSE(Reflect(5, MaskAxis::kNone).row_work().has_value());
}

TEST(PackWhen, HasANameForEachAndNoOther) {
  for (const PackWhen when : {PackWhen::kNever, PackWhen::kAuto, PackWhen::kAlways}) {
    EXPECT_EQ(pack_when_from_string(to_string(when)), when);
  }
  EXPECT_EQ(to_string(PackWhen::kAuto), "auto");
  EXPECT_EQ(error_of([] { pack_when_from_string("sometimes"); }),
            "[pack] 'sometimes' is not one of never, auto, always");
}

}  // namespace
}  // namespace maskgrad
