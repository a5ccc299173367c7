// What sequence_mask and fill_where refuse.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using Options = ops::SequenceMaskOptions;
using List = std::vector<std::int64_t>;

TEST(FillWhere, RefusesALayoutThatIsNotTheInputs) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] {
              ops::fill_where(x, ops::Upper{}, {1, 3, 3, 1});
            }),
            "[sequence_mask] a layout of 1 x 3 x 3 x 1 elements does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::fill_by_rows(x, test::bits({1, 0}, {1, 2}), {1, 2, 3, 1}, 0);
            }),
            "[sequence_mask] decisions must be bool (2, 3), got bool (1, 2)");
  constexpr std::int64_t kHuge = std::int64_t{1} << 32;
  EXPECT_EQ(
      error_of([&] {
        ops::fill_by_rows(x, test::bits({}, {0}), {kHuge, kHuge, kHuge, kHuge}, 0);
      }),
      "[shape] the dimensions of (4294967296, 4294967296, 4294967296, 4294967296) multiply to "
      "more than 2^59");
  const Variable n(Tensor::zeros({2, 3}, DType::kInt32));
  EXPECT_EQ(error_of([&] {
              ops::fill_where(n, ops::Upper{}, {1, 2, 3, 1});
            }),
            "[sequence_mask] does not take int32");
}

TEST(FillWhere, RefusesRowsThatAreNotTheLayouts) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  const auto error = [&](const auto& functor) {
    return error_of([&] { ops::fill_where(x, functor, {1, 2, 3, 1}); });
  };
  EXPECT_EQ(error(ops::Sequence{make({1}, {1}, DType::kInt64)}),
            "[sequence_mask] needs int64 (2,) for the rows, got int64 (1,)");
  EXPECT_EQ(error(ops::Window{make({1, 2}, {2}, DType::kInt32), 1}),
            "[sequence_mask] needs int64 (2,) for the rows, got int32 (2,)");
  EXPECT_EQ(error(ops::Sequence{}),
            "[sequence_mask] the number for each row was used before it was given a value");
  EXPECT_EQ(error(ops::Window{make({1, 2}, {2}, DType::kInt64), 1}), "no error");
}

TEST(SequenceMaskOp, RefusesLengthsThatAreMissingOrDoNotFit) {
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32));
  const auto error = [&](const char* mode, const Tensor& given, const Options& options = {}) {
    return error_of([&] { ops::sequence_mask(x, mode, given, options); });
  };
  const Tensor two = make({1, 2}, {2}, DType::kInt64);
  EXPECT_EQ(error("sequence", {}), "[sequence_mask] mode 'sequence' needs lengths");
  EXPECT_EQ(error("window", {}), "[sequence_mask] mode 'window' needs centers");
  EXPECT_EQ(error("upper", two), "[sequence_mask] mode 'upper' takes no lengths or centers");
  EXPECT_EQ(error("sequence", two, {.axis = 2}),
            "[sequence_mask] lengths are (2,), but there are 6 rows");
  EXPECT_EQ(error("window", make({1, 2}, {2, 1}, DType::kInt64)),
            "[sequence_mask] centers are (2, 1), but there are 2 rows");
  EXPECT_EQ(error("sequence", make({1, 2}, {2})),
            "[sequence_mask] lengths are float64, they must be int32 or int64");
  EXPECT_EQ(error("window", two, {.radius = -1}), "[sequence_mask] radius -1 must not be negative");
}

TEST(SequenceMaskOp, RefusesUnknownModesAndAxesThatDoNotFit) {
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32));
  const Tensor two = make({1, 2}, {2}, DType::kInt64);
  const auto error = [&](const char* mode, const Options& options, const Tensor& given = {}) {
    return error_of([&] { ops::sequence_mask(x, mode, given, options); });
  };
  EXPECT_EQ(error("uper", {}), "[sequence_mask] there is no mode 'uper'; did you mean 'upper'?");
  EXPECT_EQ(error("sequenc", {}, two),
            "[sequence_mask] there is no mode 'sequenc'; did you mean 'sequence'?");
  EXPECT_EQ(error("upper", {.axis = 3}), "[sequence_mask] axis 3 is not a dimension of (2, 3, 4)");
  EXPECT_EQ(error("upper", {.axis = 1, .batch = -4}),
            "[sequence_mask] batch -4 is not a dimension of (2, 3, 4)");
  EXPECT_EQ(error("upper", {.axis = 1, .batch = 1}),
            "[sequence_mask] batch 1 must be before axis 1");
  EXPECT_EQ(error("upper", {.repeat_from_axis = 2}),
            "[sequence_mask] mode 'upper' takes no repeat_from_axis");
  EXPECT_EQ(error("sequence", {.axis = 1, .repeat_from_axis = -2}, two),
            "[sequence_mask] repeat_from_axis 1 must be after axis 1");
  EXPECT_EQ(error("sequence", {.axis = 1, .repeat_from_axis = 3}, two),
            "[sequence_mask] repeat_from_axis 3 is not a dimension of (2, 3, 4)");
  EXPECT_EQ(error("sequence", {.axis = 1, .batch = 0, .repeat_from_axis = 2}, two),
            "[sequence_mask] takes batch or repeat_from_axis, not both");
}

TEST(SequenceMaskOp, RefusesACallByNameThatContradictsItself) {
  const auto error = [](const std::vector<std::string>& rows, const std::string& mode,
                        const List& batch = {}) {
    OpCall call;
    call.inputs["input"] = Variable(Tensor::zeros({2, 3}, DType::kFloat32));
    for (const std::string& name : rows) {
      call.inputs[name] = Variable(make({1, 2}, {2}, DType::kInt64));
    }
    call.args = {{"mode", mode}, {"batch", batch}};
    return error_of([&] { run_op(find_op("sequence_mask"), call); });
  };
  EXPECT_EQ(error({"lengths"}, "sequence"), "no error");
  EXPECT_EQ(error({"lengths", "centers"}, "window"),
            "[sequence_mask] takes lengths or centers, not both");
  EXPECT_EQ(error({"centers"}, "sequence"), "[sequence_mask] mode 'sequence' takes no centers");
  EXPECT_EQ(error({"lengths"}, "window"), "[sequence_mask] mode 'window' takes no lengths");
  EXPECT_EQ(error({"lengths"}, "windows"),
            "[sequence_mask] there is no mode 'windows'; did you mean 'window'?");
  EXPECT_EQ(error({}, "upper", {0, 0}), "[sequence_mask] argument 'batch' takes one number, got 2");
}

}  // namespace
}  // namespace maskgrad
