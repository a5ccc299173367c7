// A number that is given to an operation reaches the values without change, or is refused.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using ::testing::EndsWith;
using Int = std::int64_t;

constexpr Int kOdd = 9007199254740993;  // 2^53 + 1: no double
constexpr Int kLeast = std::numeric_limits<Int>::min(), kMost = std::numeric_limits<Int>::max();

// Every operation that takes a fill, on a batch of one sequence with one hole: what stands there.
using Filled = std::function<Variable(const Variable& x, Scalar fill)>;
std::vector<std::pair<const char*, Filled>> filling_operations() {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Tensor keep = test::bits({1, 0}, {1, 2}), rows = test::bits({1, 0}, {2});
  const auto flat = [](const Variable& x) { return Variable(x.value().reshape({2})); };
  return {
      {"keep_where", [=](const Variable& x, Scalar f) { return ops::keep_where(x, keep, f); }},
      {"with_mask", [=](const Variable& x, Scalar f) { return ops::with_mask(x, mask, f); }},
      {"fill_masked",
       [=](const Variable& x, Scalar f) {
         return ops::fill_masked(Variable(x.value(), Variable::kConstant, mask), f);
       }},
      {"unmask_fill",
       [=](const Variable& x, Scalar f) {
         return ops::unmask_fill(ops::boolean_mask(flat(x), rows).output, rows, f);
       }},
      {"unmask_fill",
       [=](const Variable& x, Scalar f) {
         return ops::compute_on_kept(
             flat(x), rows, [](const Variable& kept) { return kept; }, f);
       }},
  };
}

Variable two(DType dtype) { return Variable(Tensor::zeros({1, 2}, dtype)); }

TEST(Fill, ArrivesAsTheIntegerItIs) {
  for (const auto& [name, fill] : filling_operations()) {
    for (const Int value : {kOdd, -kOdd, kLeast, kMost, Int{0}}) {
      const Tensor y = fill(two(DType::kInt64), value).value();
      EXPECT_EQ(y.data<Int>()[1], value) << name;
      EXPECT_EQ(y.data<Int>()[0], 0) << name;
    }
    EXPECT_EQ(fill(two(DType::kInt32), -2147483647 - 1).value().data<std::int32_t>()[1],
              std::numeric_limits<std::int32_t>::min());
    EXPECT_TRUE(fill(two(DType::kBool), true).value().data<bool>()[1]) << name;
  }
}

TEST(Fill, ArrivesAsTheRealNumberItIs) {
  for (const auto& [name, fill] : filling_operations()) {
    for (const double value : {0.1, -kInf, kInf, kNaN, 3e38, 1e-45, -0.0}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const Tensor y = fill(two(dtype), value).value();
        EXPECT_TRUE(test::same_bits(y, test::make({0, value}, y.shape(), dtype)))
            << name << " " << value;
      }
    }
  }
}

TEST(Fill, IsRefusedWhereItWouldChange) {
  const std::pair<Scalar, DType> refused[] = {{kOdd, DType::kFloat64},
                                              {16777217, DType::kFloat32},
                                              {-1e39, DType::kFloat32},
                                              {0.5, DType::kInt64},
                                              {Int{1} << 31, DType::kInt32},
                                              {0x1p63, DType::kInt64},
                                              {kNaN, DType::kInt32},
                                              {-kInf, DType::kInt64},
                                              {2, DType::kBool},
                                              {0.5, DType::kBool},
                                              {~std::uint64_t{0}, DType::kInt64}};
  for (const auto& [name, fill] : filling_operations()) {
    for (const auto& [value, dtype] : refused) {
      EXPECT_EQ(error_of([&, f = &fill, v = value, d = dtype] { (*f)(two(d), v); }),
                fmt::format("[{}] fill {} is no {}", name, value, to_string(dtype)));
    }
  }
}

TEST(Fill, OfUnpackedHolesIsExactOrRefused) {
  const ops::Packing packing = ops::packing_of(SequenceMask(test::bits({1, 0}, {1, 2})));
  const auto unpack = [&](DType dtype, Scalar fill) {
    return ops::unpack(Variable(Tensor::zeros({1, 1, 1}, dtype)), packing, fill).value();
  };
  EXPECT_EQ(unpack(DType::kFloat32, 0.1).data<float>()[1], 0.1F);
  EXPECT_EQ(error_of([&] { unpack(DType::kFloat32, 1e39); }),
            "[unmask_fill] fill 1e+39 is no float32");
}

TEST(Fill, OfASequenceMaskIsExactOrRefused) {
  const auto fill = [](DType dtype, Scalar value) {
    return ops::sequence_mask(two(dtype), "upper", {}, {.axis = 1, .fill_value = value}).value();
  };
  EXPECT_EQ(fill(DType::kFloat32, -1e9).data<float>()[1], -1e9F);
  EXPECT_EQ(fill(DType::kFloat64, kOdd - 1).data<double>()[1], 9007199254740992.0);
  EXPECT_EQ(error_of([&] { fill(DType::kFloat32, -1e39); }),
            "[sequence_mask] fill_value -1e+39 is no float32");
  EXPECT_EQ(error_of([&] { fill(DType::kFloat64, kOdd); }),
            "[sequence_mask] fill_value 9007199254740993 is no float64");
}

TEST(RealArgument, LeavesNoRangeInSilence) {
  const std::pair<const char*, std::function<void(const Variable&, Scalar)>> operations[] = {
      {"[scale] factor", [](const Variable& x, Scalar a) { ops::scale(x, a); }},
      {"[leaky_relu] slope", [](const Variable& x, Scalar a) { ops::leaky_relu(x, a); }},
      {"[elu] alpha", [](const Variable& x, Scalar a) { ops::elu(x, a); }}};
  for (const auto& [starts, run] : operations) {
    const auto error = [&, f = &run](DType dtype, Scalar a) {
      return error_of([&] { (*f)(two(dtype), a); });
    };
    EXPECT_EQ(error(DType::kFloat32, 1e39), fmt::format("{} 1e+39 is no float32", starts));
    EXPECT_EQ(error(DType::kFloat32, 16777217), fmt::format("{} 16777217 is no float32", starts));
    EXPECT_EQ(error(DType::kFloat64, kOdd),
              fmt::format("{} 9007199254740993 is no float64", starts));
    EXPECT_EQ(error(DType::kFloat32, 0.1), "no error");
    EXPECT_EQ(error(DType::kFloat64, 1e39), "no error");
    const bool takes_infinity = std::string_view(starts) == "[scale] factor";
    EXPECT_EQ(error(DType::kFloat32, kInf),
              takes_infinity ? "no error" : fmt::format("{} must be finite, got inf", starts));
    EXPECT_THAT(error(DType::kInt32, 0.5), EndsWith("does not take int32"));
  }
}

TEST(RealArgument, OfAttentionLeavesNoRangeInSilence) {
  const auto error = [](DType dtype, const ops::AttentionOptions& options) {
    const Variable x(Tensor::zeros({1, 2, 3}, dtype));
    return error_of([&] { ops::scaled_dot_product_attention(x, x, x, {}, options); });
  };
  const std::string starts = "[scaled_dot_product_attention] ";
  EXPECT_EQ(error(DType::kFloat32, {.scale = -1e39}), starts + "scale -1e+39 is no float32");
  EXPECT_EQ(error(DType::kFloat32, {.softcap = 1e39}), starts + "softcap 1e+39 is no float32");
  EXPECT_EQ(error(DType::kFloat32, {.softcap = 1e-50}),
            starts + "softcap 1e-50 is no divisor in float32");
  EXPECT_EQ(error(DType::kFloat64, {.softcap = kInf}),
            starts + "softcap inf is no divisor in float64");
  EXPECT_EQ(error(DType::kFloat64, {.scale = 1e39, .softcap = 1e-50}), "no error");
}

TEST(FillByName, IsTakenFromAnyKindOfNumber) {
  const auto run = [](DType dtype, ArgValue fill) {
    OpCall call;
    call.inputs = {{"input", two(dtype)}, {"mask", Variable(test::bits({1, 0}, {1, 2}))}};
    call.args = {{"fill", std::move(fill)}};
    return run_op(find_op("keep_where"), call).front().value();
  };
  EXPECT_EQ(run(DType::kInt64, kOdd).data<Int>()[1], kOdd);
  EXPECT_EQ(run(DType::kInt64, Scalar(kLeast)).data<Int>()[1], kLeast);
  EXPECT_EQ(run(DType::kFloat32, 0.1).data<float>()[1], 0.1F);
  EXPECT_TRUE(run(DType::kBool, true).data<bool>()[1]);
  EXPECT_EQ(error_of([&] { run(DType::kFloat32, -1e39); }),
            "[keep_where] fill -1e+39 is no float32");
  EXPECT_EQ(error_of([&] { run(DType::kFloat32, std::string("0")); }),
            "[keep_where] argument 'fill' has the wrong type");
}

}  // namespace
}  // namespace maskgrad
