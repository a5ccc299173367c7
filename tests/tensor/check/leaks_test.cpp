#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::elementwise;
using test::error_of;
using test::leaf;
using test::make;
using test::product;
using test::total;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SequenceMask kMask(bits({1, 0, 1, 1}, {2, 2}));
const Tensor kValues = make({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});

const OpDef kLeaky = test::toy("leaky", MaskRule::kKeeps);

// y = x plus `share` of its neighbour, masked or not, two places further on.
Variable leaky(const Variable& x, double share) {
  const Tensor y = elementwise(x.value(), [&](std::int64_t i) {
    const std::int64_t next = (i + 2) % x.value().numel();
    return x.value().data<double>()[i] + share * x.value().data<double>()[next];
  });
  return record(kLeaky, {&x}, y, [](const Tensor& g, Gradients& grads) { grads.set(0, g); });
}

TEST(CheckMaskLeaks, FindsNothingInWhatKeepsToTheMask) {
  const Variable x = leaf(kValues.clone(), kMask), w = leaf(make({2, 3}, {2}));
  const LeakReport report = check_mask_leaks([&] { return total(product(product(x, w), w)); },
                                             std::vector<NamedLeaf>{{"x", x}, {"w", w}});
  EXPECT_TRUE(report.holds()) << to_string(report);
  EXPECT_EQ(report.operations, 3);
  EXPECT_EQ(report.masked_places, 2 * 2);  // of the two that carry the mask
  EXPECT_EQ(to_string(report), "3 operations, 4 masked elements");
}

TEST(CheckMaskLeaks, NamesTheOperationItsLayerAndTheElement) {
  const Variable x = leaf(kValues.clone(), kMask);
  const LeakReport report = check_mask_leaks(
      [&] {
        const Variable y = product(x, Variable(make({1, 1}, {2})));
        const Scope model("block"), layer("mixer");
        return total(leaky(y, 0.5));
      },
      std::vector<NamedLeaf>{{"x", x}});
  ASSERT_EQ(report.leaks.size(), 1U);  // what follows it is not blamed
  const MaskLeak& leak = report.leaks[0];
  EXPECT_EQ(leak.op, "leaky");
  EXPECT_EQ(leak.layer, "block.mixer");
  EXPECT_EQ(leak.what, "output");
  EXPECT_EQ(leak.element, 0);  // position 0 of the first sample reads position 1, which is masked
  EXPECT_EQ(leak.clean, 1);
  EXPECT_EQ(leak.poison, 1e30);
  EXPECT_EQ(
      to_string(leak),
      "leaky in layer 'block.mixer' reads masked places: element 0 of its output (2, 2, 2) is "
      "1, and 5e+29 with 1e+30 there");
}

TEST(CheckMaskLeaks, SeesThatAMaskedPlaceIsMultipliedByZero) {
  const Variable x = leaf(kValues.clone(), kMask);
  const LeakReport report =
      check_mask_leaks([&] { return total(leaky(x, 0.0)); }, std::vector<NamedLeaf>{{"x", x}});
  ASSERT_EQ(report.leaks.size(), 1U);
  EXPECT_TRUE(std::isnan(report.leaks[0].poisoned));
}

TEST(CheckMaskLeaks, SeesWhatARuleSendsBack) {
  const Variable x = leaf(kValues.clone(), kMask), w = leaf(make({2, 3}, {2}));
  const OpDef op = test::toy("forgetful", MaskRule::kKeeps);
  OpDef by_everything = op;
  for (InputSpec& input : by_everything.inputs) input.reach = Reach::kEverything;
  // dw = sum of g x: holes of g are 0, but those of x may hold anything.
  const auto forgetful = [&](const Variable& a, const Variable& b) {
    const Tensor y = elementwise(a.value(), [&](std::int64_t i) {
      return a.value().data<double>()[i] * b.value().data<double>()[i % 2];
    });
    return record(by_everything, {&a, &b}, y, [a = a.value()](const Tensor& g, Gradients& grads) {
      grads.set(0, g);
      grads.set(1, elementwise(g, [&](std::int64_t i) {
                  return g.data<double>()[i] * a.data<double>()[i];
                }));
    });
  };
  const LeakReport report = check_mask_leaks(
      [&] {
        const Scope layer("head");
        return total(forgetful(x, w));
      },
      std::vector<NamedLeaf>{{"x", x}, {"w", w}});
  ASSERT_EQ(report.leaks.size(), 1U);
  EXPECT_EQ(report.leaks[0].op, "forgetful");
  EXPECT_EQ(report.leaks[0].what, "gradient of input 1");
  EXPECT_EQ(report.leaks[0].layer, "head");
}

TEST(CheckMaskLeaks, NamesEveryOperationThatLeaksOnce) {
  const Variable x = leaf(kValues.clone(), kMask);
  const LeakReport report = check_mask_leaks(
      [&] {
        const Variable y = leaky(x, 1.0);
        const Scope second("second");
        return total(leaky(y, 1.0));
      },
      std::vector<NamedLeaf>{{"x", x}});
  std::vector<std::string> layers;
  for (const MaskLeak& leak : report.leaks) layers.push_back(leak.layer);
  EXPECT_THAT(layers, ElementsAre("", "second"));
}

TEST(CheckMaskLeaks, FindsADroppedMaskWhereItIsRead) {
  const Variable x = leaf(kValues.clone(), kMask);
  const LeakReport report = check_mask_leaks([&] { return total(drop_mask(product(x, x))); },
                                             std::vector<NamedLeaf>{{"x", x}});
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.leaks[0].op, "total");
}

TEST(CheckMaskLeaks, LetsRubbishBeCarriedOnAsLongAsItIsDropped) {
  const Variable x = leaf(kValues.clone(), kMask), w = leaf(make({2, 3}, {2}));
  const OpDef op = test::toy("remasked", MaskRule::kMakes);
  const LeakReport report = check_mask_leaks(
      [&] {
        const Variable y = product(drop_mask(x), w);
        return total(record(op, {&y}, y.value().clone(), kMask,
                            [](const Tensor& g, Gradients& grads) { grads.set(0, g); }));
      },
      std::vector<NamedLeaf>{{"x", x}});
  EXPECT_TRUE(report.holds()) << to_string(report);
}

TEST(CheckMaskLeaks, NamesWhatGivesAResultOfMaskedPlacesAlone) {
  const Variable x = leaf(kValues.clone(), kMask), w = leaf(make({2, 3}, {2}));
  const LeakReport report = check_mask_leaks([&] { return product(drop_mask(x), w); },
                                             std::vector<NamedLeaf>{{"x", x}, {"w", w}});
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.leaks[0].op, "product");
  EXPECT_EQ(report.leaks[0].what, "output");
  EXPECT_EQ(report.leaks[0].element, 2);  // the first in the hole
}

TEST(CheckMaskLeaks, LeavesValuesAsTheyWereAndNoGradients) {
  const Variable x = leaf(kValues.clone(), kMask);
  check_mask_leaks([&] { return total(x); }, std::vector<NamedLeaf>{{"x", x}});
  EXPECT_TRUE(test::same_bits(x.value(), kValues));
  EXPECT_FALSE(x.grad().defined());
}

TEST(CheckMaskLeaks, RefusesAModelThatRunsOtherwiseWithPoison) {
  const Variable x = leaf(kValues.clone(), kMask);
  EXPECT_EQ(error_of([&] {
              check_mask_leaks(
                  [&] {
                    const double masked = x.value().data<double>()[2];
                    return masked == 0 ? total(x) : total(product(x, x));
                  },
                  std::vector<NamedLeaf>{{"x", x}});
            }),
            "[check_mask_leaks] [product] what runs, or its mask, depends on what is masked");
}

TEST(CheckMaskLeaks, PoisonsTheMaskedPlacesOfConstants) {
  const Variable x(kValues.clone(), Variable::kConstant, kMask), w = leaf(make({2, 3}, {2}));
  const LeakReport report = check_mask_leaks([&] { return total(drop_mask(product(x, w))); },
                                             std::vector<NamedLeaf>{{"x", x}, {"w", w}});
  EXPECT_FALSE(report.holds());
}

}  // namespace
}  // namespace maskgrad
