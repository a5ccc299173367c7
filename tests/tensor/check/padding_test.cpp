#include <gmock/gmock.h>

#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::leaf;
using test::make;
using test::product;
using test::total;

// [2, 3 + extra, 2] of the numbers 1, 2, ..., of which the first two positions exist, 9 elsewhere.
Variable padded(std::int64_t extra) {
  const std::int64_t length = 3 + extra, lengths[] = {2, 2};
  Tensor values = Tensor::full({2, length, 2}, 9, DType::kFloat64);
  for (std::int64_t i = 0; i < 8; ++i) {
    values.data<double>()[i / 4 * length * 2 + i % 4] = static_cast<double>(i + 1);
  }
  return Variable(values, Variable::kConstant, SequenceMask::from_lengths(lengths, length));
}

TEST(CheckPadding, HoldsWhereOnlyKeptPlacesCount) {
  const Variable w = leaf(make({2, 3}, {2}));
  const PaddingReport report =
      check_padding([&](std::int64_t extra) { return total(product(padded(extra), w)); },
                    std::vector<NamedLeaf>{{"w", w}}, 0.0);
  EXPECT_TRUE(report.holds()) << to_string(report);
  EXPECT_EQ(to_string(report), "2 outputs compared, largest difference 0.0e+00");
}

TEST(CheckPadding, NamesTheFirstOperationThatChangesAndTheGradients) {
  const Variable w = leaf(make({2, 3}, {2}));
  const PaddingReport report = check_padding(
      [&](std::int64_t extra) {
        const Scope layer("sum");
        return total(drop_mask(product(padded(extra), w)));
      },
      std::vector<NamedLeaf>{{"w", w}});
  ASSERT_EQ(report.changes.size(), 1U);  // gradients of masked places are dropped
  EXPECT_EQ(report.changes[0].op, "total");
  EXPECT_EQ(to_string(report),
            "2 outputs compared, largest difference 4.9e-01\n"
            "  total in layer 'sum' changes with 1 more padded positions: kept element 0 is 182, "
            "then 272");
}

TEST(CheckPadding, NeedsOneNumber) {
  EXPECT_EQ(test::error_of([] { check_padding(padded, {}); }),
            "[check_padding] needs a function that gives one number, got (2, 3, 2)");
}

}  // namespace
}  // namespace maskgrad
