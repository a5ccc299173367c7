// The checks find what goes wrong with masks: for each operation that takes one, versions of it
// with a leak or a forgotten mask, every one of which must be found.
#include <cmath>
#include <functional>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/op_check.hpp>

#include "ops/mutants/mutant_families.hpp"

namespace maskgrad {
namespace {

using test::Mutant;
using test::mutants;

class OpMutation : public ::testing::TestWithParam<Mutant> {};
INSTANTIATE_TEST_SUITE_P(Mutant, OpMutation, ::testing::ValuesIn(mutants()),
                         [](const auto& mutant) { return mutant.param.name; });

TEST_P(OpMutation, IsFound) {
  const OpDef op = test::mutated(GetParam());
  EXPECT_THAT(check_op(op), ::testing::Not(::testing::IsEmpty()));
}

TEST(OpMutations, LeaveTheOperationsThemselvesInPeace) {
  std::map<std::string, int> count;
  for (const Mutant& mutant : mutants()) ++count[mutant.op];
  for (const auto& [name, number] : count) {
    EXPECT_THAT(check_op(find_op(name)), ::testing::IsEmpty()) << name;
    // With neither way changed, a mutant is the operation.
    EXPECT_THAT(check_op(test::mutated({"same", name, nullptr, nullptr})), ::testing::IsEmpty());
  }
}

// What is found in the mutants of attention is their fault, not that they are plain loops.
TEST(OpMutations, LeaveAttentionByItsDefinitionInPeace) {
  EXPECT_THAT(check_op(test::mutated({.name = "loops",
                                      .op = "scaled_dot_product_attention",
                                      .forward = test::attention_by_its_definition})),
              ::testing::IsEmpty());
}

TEST(OpMutations, CoverEveryOperationWithAMaskOfItsOwn) {
  std::map<std::string, int> count;
  for (const Mutant& mutant : mutants()) ++count[mutant.op];
  for (const auto& [name, op] : registry()) {
    const bool takes_mask =
        std::any_of(op.inputs.begin(), op.inputs.end(),
                    [](const InputSpec& in) { return in.dtypes == DTypes::kBool; });
    if (!takes_mask || !op.has_gradient()) continue;
    EXPECT_GT(count[name], 0) << name;
  }
  EXPECT_GE(mutants().size(), 40U);
}

}  // namespace
}  // namespace maskgrad
