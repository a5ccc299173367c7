// Dropout on a device drops what the CPU drops.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/dropout.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::expect_bits_of_the_cpu;
using test::kCuda;
using test::kNaN;
using Inputs = std::vector<Variable>;

class CudaDropout : public test::Draws<> {};

TEST_F(CudaDropout, TakesTheCpusNumbers) {
  // Any number of words may have been drawn before.
  for (int drawn = 0; drawn < 6; ++drawn) {
    Random numbers(3, stream_of("dropout"), 17);
    for (int i = 0; i < drawn; ++i) numbers.bits32();
    for (const double p : {0.1, 0.5}) {
      const auto f = [&](const Inputs& x) { return ops::dropout(x[0], p, numbers); };
      expect_bits_of_the_cpu(f, {draw({3, 171})});
    }
  }
  const auto nothing = [](const Inputs& x) { return ops::dropout(x[0], 0.5, Random(1)); };
  expect_bits_of_the_cpu(nothing, {draw({0})});
}

TEST_F(CudaDropout, TakesThoseOfItsPositions) {
  const Tensor places = Tensor::from<std::int64_t>({7, 0, 1, 3, 3, 900'000'000}, {2, 3});
  for (const std::int64_t features : {1, 2, 5}) {
    const auto f = [&](const Inputs& x) { return ops::dropout(x[0], 0.4, Random(5), places); };
    expect_bits_of_the_cpu(f, {draw({2, 3, features})});
  }
  const Tensor none = Tensor::empty({0, 3}, DType::kInt64);
  const auto nothing = [&](const Inputs& x) { return ops::dropout(x[0], 0.4, Random(5), none); };
  expect_bits_of_the_cpu(nothing, {draw({0, 3, 2})});
}

TEST_F(CudaDropout, GoesOnWhereTheKeyChanges) {
  Random numbers(4);
  numbers.skip_uniforms((std::uint64_t{1} << 33) - 101);
  const auto f = [&](const Inputs& x) { return ops::dropout(x[0], 0.5, numbers); };
  expect_bits_of_the_cpu(f, {draw({300})});
}

TEST_F(CudaDropout, TakesTheLastNumbersAndNoMore) {
  Random numbers(4);
  numbers.skip_uniforms(~std::uint64_t{0} - 99);  // of 2^64 numbers 100 are left
  const auto f = [&](const Inputs& x) { return ops::dropout(x[0], 0.5, numbers); };
  expect_bits_of_the_cpu(f, {draw({100})});
  const Variable more(draw({101}).to(kCuda)), rows(draw({1, 2, 50}).to(kCuda));
  EXPECT_EQ(test::error_of([&] { ops::dropout(more, 0.5, numbers); }),
            "[random] has not 101 numbers left to skip");
  const auto at = [&](std::int64_t place) {
    return test::error_of([&] {
      ops::dropout(rows, 0.5, numbers, Tensor::from<std::int64_t>({0, place}, {1, 2}));
    });
  };
  EXPECT_EQ(at(1), "no error");
  EXPECT_EQ(at(2), "[random] has not 150 numbers left to skip");
}

TEST_F(CudaDropout, SelectsAndDoesNotMultiply) {
  const auto f = [](const Inputs& x) { return ops::dropout(x[0], 0.5, Random(2)); };
  const Tensor ones = Tensor::full({200}, 1, DType::kFloat64);
  const Tensor kept = test::run_on(Device{}, f, {ones})[0];
  Tensor poisoned = ones.clone();
  for (std::int64_t i = 0; i < 200; ++i) {
    if (kept.values<double>()[static_cast<std::size_t>(i)] == 0) poisoned.data<double>()[i] = kNaN;
  }
  EXPECT_TRUE(test::same_bits(test::run_on(kCuda, f, {poisoned})[0], kept));
}

}  // namespace
}  // namespace maskgrad
