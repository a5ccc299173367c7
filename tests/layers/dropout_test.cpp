#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dropout.hpp>
#include <maskgrad/ops/mask/packing.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::mask_of;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kFeatures = 6;

const bool kRegistered = register_layer({"Dropout", [] { return std::make_unique<Dropout>(0.4); }});

Tensor ones_of(const Shape& shape) { return Tensor::full(shape, 1, DType::kFloat64); }

Variable dropped(const Variable& x, std::uint64_t step = 1, double p = 0.5) {
  Dropout layer(p);
  Pass pass = Pass::training(3, step);
  return layer(x, pass);
}

// Position `s` of sequence `b`.
Tensor at(const Variable& y, std::int64_t b, std::int64_t s) {
  return y.value().view((b * y.dim(1) + s) * kFeatures, {kFeatures});
}

TEST(DropoutLayer, GivesItsInputInInference) {
  Dropout layer(0.5);
  const Variable x(ones_of({2, 3, kFeatures}));
  EXPECT_TRUE(layer(x).value().is_same_view(x.value()));
  EXPECT_TRUE(dropped(x, 1, 0).value().is_same_view(x.value()));
}

TEST(DropoutLayer, DrawsAnewForEachStepAndPosition) {
  const Variable x(ones_of({4, 8, kFeatures}));
  EXPECT_TRUE(same_bits(dropped(x, 1).value(), dropped(x, 1).value()));
  EXPECT_FALSE(same_bits(dropped(x, 1).value(), dropped(x, 2).value()));
  const Variable y = dropped(x);
  int alike = 0;
  for (std::int64_t b = 0; b < 4; ++b) {
    for (std::int64_t s = 1; s < 8; ++s) {
      alike += static_cast<bool>(same_bits(at(y, b, s), at(y, b, s - 1)));
    }
  }
  EXPECT_LE(alike, 4) << "2^-6 of 28 are expected";
}

TEST(DropoutLayer, DropsTheSameWhateverPaddingStandsAround) {
  const Variable y = dropped(Variable(ones_of({2, 3, kFeatures})));
  const SequenceMask mask = mask_of({0, 0, 1, 1, 1, 1, 0, 1, 0, 1}, {2, 5});
  const Variable padded = dropped(Variable(ones_of({2, 5, kFeatures}), Variable::kConstant, mask));
  constexpr std::int64_t kPlaces[2][3] = {{2, 3, 4}, {0, 2, 4}};
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t s = 0; s < 3; ++s) {
      EXPECT_TRUE(same_bits(at(padded, b, kPlaces[b][s]), at(y, b, s))) << b << ' ' << s;
    }
  }
  EXPECT_TRUE(padded.mask() == mask);
}

TEST(DropoutLayer, DropsTheSameOnAPackedRow) {
  const SequenceMask mask = mask_of({1, 1, 1, 1, 0, 0, 0, 1, 1}, {3, 3});
  const Variable x(ones_of({3, 3, kFeatures}), Variable::kConstant, mask);
  const ops::Packing packing = ops::packing_of(mask);
  Dropout layer(0.5);
  Pass pass = Pass::training(3, 1), row = Pass::training(3, 1).on_row(packing);
  const Tensor padded = ops::pack(layer(x, pass), packing).value();
  EXPECT_TRUE(same_bits(layer(ops::pack(x, packing), row).value(), padded));
}

TEST(DropoutLayer, RefusesAShareThatIsNone) {
  for (const double p : {1.0, -0.1, test::kNaN}) {
    EXPECT_EQ(error_of([&] { Dropout layer(p); }),
              fmt::format("[Dropout] p must be at least 0 and below 1, got {}", p));
  }
}

}  // namespace
}  // namespace maskgrad
