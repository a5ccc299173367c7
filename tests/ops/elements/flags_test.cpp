// Files of one program that were compiled with different flags.
#include "ops/elements/flags.hpp"

#include <gmock/gmock.h>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

TEST(ElementsFlags, EachFileKeepsTheCodeOfItsOwn) {
#if defined(__AVX__)
  Random random(1);
  const Tensor x = test::uniform(random, {1000}).to(DType::kFloat32);
  const test::Compiled here = test::compiled_here(x), other = test::compiled_without_avx(x);
  EXPECT_NE(here.elements, other.elements);
  EXPECT_NE(here.mapper, other.mapper) << "the linker took one for both";
  const auto given = std::as_const(x).values<float>();
  for (const Tensor& result : {here.result, other.result}) {
    for (std::size_t i = 0; i < given.size(); ++i) {
      const double v = given[i];
      ASSERT_NEAR(result.values<float>()[i], 1 + v * (2 - v * v), 1e-6);
    }
  }
#else
  GTEST_SKIP() << "all files of this build do without AVX";
#endif
}

}  // namespace
}  // namespace maskgrad
