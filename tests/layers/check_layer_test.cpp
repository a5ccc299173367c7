// The check of layers finds layers that break their promises.
#include <cmath>
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Forward = std::function<Variable(const Variable&, Pass&)>;

class Custom : public Layer {
 public:
  Custom(MaskRule rule, bool on_row, Forward forward)
      : Layer("Custom", rule), on_row_(on_row), forward_(std::move(forward)) {}
  std::optional<ops::Work> row_work() const override {
    return on_row_ ? std::optional(ops::Work{}) : std::nullopt;
  }
  Variable forward(const Variable& x, Pass& pass) override { return forward_(x, pass); }

 private:
  bool on_row_;
  Forward forward_;
};

std::vector<std::string> complaints(MaskRule rule, bool on_row, const Forward& forward) {
  return check_layer({"Custom", [=] { return std::make_unique<Custom>(rule, on_row, forward); }});
}

Variable mean_of_positions(const Variable& x) {
  const std::int64_t axes[] = {1};
  return ops::mean(x, axes, true);
}

TEST(CheckLayer, HasNothingToSayOfALayerThatKeepsItsPromises) {
  EXPECT_THAT(
      complaints(MaskRule::kKeeps, true, [](const Variable& x, Pass&) { return ops::scale(x, 2); }),
      IsEmpty());
  EXPECT_THAT(complaints(MaskRule::kEnds, false,
                         [](const Variable& x, Pass&) { return ops::masked_mean(x, 1); }),
              IsEmpty());
}

TEST(CheckLayer, RecordsNothingOnATapeOfTheCallerEvenOneThatHasRun) {
  const auto twice = [](const Variable& x, Pass&) { return ops::scale(x, 2); };
  const Variable x(Tensor::full({}, 1.0, DType::kFloat64), Variable::kRequiresGrad);
  Tape tape;
  EXPECT_THAT(complaints(MaskRule::kKeeps, true, twice), IsEmpty());
  EXPECT_THAT(tape.nodes(), IsEmpty());
  tape.backward(x);
  EXPECT_THAT(complaints(MaskRule::kKeeps, true, twice), IsEmpty());
}

TEST(CheckLayer, FindsALayerThatReadsPadding) {
  const auto found = complaints(MaskRule::kKeeps, false, [](const Variable& x, Pass&) {
    return ops::with_mask(ops::add(drop_mask(x), mean_of_positions(drop_mask(x))), x.mask());
  });
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("Custom: "), HasSubstr("mean in layer"))));
}

TEST(CheckLayer, FindsALayerThatCountsPadding) {
  const auto found = complaints(MaskRule::kKeeps, false, [](const Variable& x, Pass&) {
    const Variable y = ops::add(ops::fill_masked(x), mean_of_positions(ops::fill_masked(x)));
    return x.mask().defined() ? ops::with_mask(y, x.mask()) : y;
  });
  EXPECT_THAT(
      found,
      Contains(HasSubstr("mean in layer 'sample.layer' changes with 1 more padded positions")));
}

// On a packed row all sequences are one.
TEST(CheckLayer, FindsALayerThatMixesTheSequencesOfAPackedRow) {
  const auto found = complaints(MaskRule::kKeeps, true, [](const Variable& x, Pass&) {
    const Variable y = ops::add(ops::fill_masked(x), ops::masked_mean(x, 1, true));
    return x.mask().defined() ? ops::with_mask(y, x.mask()) : y;
  });
  EXPECT_THAT(found, Contains(HasSubstr("on a packed row the loss or a gradient is")));
}

TEST(CheckLayer, FindsALayerThatTakesAFullMaskForSomethingElse) {
  const auto found = complaints(MaskRule::kKeeps, false, [](const Variable& x, Pass&) {
    return x.mask().defined() ? ops::scale(x, 2) : ops::scale(x, 3);
  });
  EXPECT_THAT(found, Contains(HasSubstr("other bits than no mask")));
}

// Padding is read in training only.
TEST(CheckLayer, FindsALayerThatReadsPaddingInTraining) {
  const auto found = complaints(MaskRule::kKeeps, false, [](const Variable& x, Pass& pass) {
    if (!pass.is_training()) return ops::scale(x, 2);
    return ops::with_mask(ops::add(drop_mask(x), mean_of_positions(drop_mask(x))), x.mask());
  });
  EXPECT_THAT(found, Contains(HasSubstr("Custom: in training: ")));
}

TEST(CheckLayer, HoldsForALayerThatDropsAtRandom) {
  EXPECT_THAT(complaints(MaskRule::kKeeps, true,
                         [](const Variable& x, Pass& pass) {
                           return pass.is_training()
                                      ? ops::dropout(x, 0.5, pass.random(), pass.places(x))
                                      : x;
                         }),
              IsEmpty());
}

TEST(CheckLayer, FindsANaNOnAPackedRow) {
  const auto found = complaints(MaskRule::kKeeps, true, [](const Variable& x, Pass& pass) {
    return ops::scale(x, pass.packing() ? std::nan("") : 2.0);
  });
  EXPECT_THAT(found, Contains(HasSubstr("on a packed row the loss or a gradient is nan")));
}

// It multiplies by its parameter, and by the number that it reads there, which stays as it was.
class ReadsItsParameter : public Layer {
 public:
  ReadsItsParameter()
      : Layer("ReadsItsParameter", MaskRule::kKeeps),
        factor_(parameter("factor", {1}, constant(2))) {}
  Variable forward(const Variable& x, Pass&) override {
    return ops::scale(ops::multiply(x, factor_), factor_.variable().value().item());
  }

 private:
  Parameter& factor_;
};

TEST(CheckLayer, FindsANumberThatIsReadFromAParameter) {
  const auto found =
      check_layer({"ReadsItsParameter", [] { return std::make_unique<ReadsItsParameter>(); }});
  EXPECT_THAT(found, Contains("ReadsItsParameter: its recorded step, run again with other "
                              "parameters, gives something else"));
}

TEST(CheckLayer, TellsWhatALayerThrows) {
  const auto found = complaints(MaskRule::kKeeps, true, [](const Variable& x, Pass&) {
    return Variable(x.value());  // loses the mask
  });
  EXPECT_THAT(found,
              Contains(HasSubstr("throws [Custom] in layer 'sample.layer': says that it keeps "
                                 "the mask")));
  const LayerSample nothing = {"Nothing", [] { return std::unique_ptr<Layer>(); }};
  EXPECT_THAT(check_layer(nothing), Contains(HasSubstr("is no module")));
}

TEST(RegisterLayer, RefusesANameTwiceAndASampleThatMakesNothing) {
  const auto twice = [] { register_layer({"Dense", [] { return std::unique_ptr<Layer>(); }}); };
  EXPECT_EQ(error_of(twice), "[layer] there are two samples called 'Dense'");
  EXPECT_EQ(error_of([] {
              register_layer({"Nothing", {}});
            }),
            "[layer] sample 'Nothing' makes no layer");
  for (const char* name : {"", "two words", "a-b"}) {
    EXPECT_EQ(error_of([&] {
                check_layer({name, [] { return std::unique_ptr<Layer>(); }});
              }),
              fmt::format("[layer] a sample's name must be letters and digits, not '{}'", name));
  }
}

}  // namespace
}  // namespace maskgrad
