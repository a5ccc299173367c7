// What a GPU is able to do, for tests that run on an emulated device too; and what all tests do
// where there is none.
#include <gtest/gtest.h>

#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"

namespace maskgrad::test {
namespace {

class SkipWithoutGpu : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    static const std::string reason = error_of([] { cuda::check_usable(); });
    if (reason != "no error") GTEST_SKIP() << reason;
  }
};

const bool kListens = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new SkipWithoutGpu);
  return true;
}();

}  // namespace

int orders() { return 1; }
void set_order(int) {}

std::int64_t many_elements() { return 2'000'000; }

// Rules are made of operations that are rounded alike everywhere, but for pow() of the C library:
// CUDA's is within 2 units of double, and glibc's within 1. Rounded to float, that is one unit of
// float at most. Slopes of pow are 2 units away from the exact ones, and 6 where the power leaves
// the range. A loss of cross_entropy holds a log() of the C library, which is within 1 unit in
// either. A CPU that does not fuse multiplications rounds every rule in its own way.
double allowed_ulps(const std::string& op, DType dtype) {
  if (op == "cross_entropy") return 2;
  if (op == "pow") return dtype == DType::kFloat32 ? 1 : 12;
  // Its log() is the C library's, which is within 1 unit in either; so the output is, too. But in
  // the gradient, a difference, that leaves 7400 units of the elements that are nearly 0.
  if (op == "log_softmax" || op == "masked_log_softmax") return 8192;
  return ops::math::kFuses ? 0 : 6;
}

}  // namespace maskgrad::test
