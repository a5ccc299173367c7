// The checks find what goes wrong with masks: for each operation that takes one, versions of it
// with a leak or a forgotten mask, every one of which must be found.
#include <cmath>
#include <functional>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "ops/mutants.hpp"
#include "support/tensors.hpp"

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

TEST(OpMutations, CoverEveryOperationWithAMaskOfItsOwn) {
  std::map<std::string, int> count;
  for (const Mutant& mutant : mutants()) ++count[mutant.op];
  for (const auto& [name, op] : registry()) {
    const bool takes_mask =
        std::any_of(op.inputs.begin(), op.inputs.end(),
                    [](const InputSpec& in) { return in.dtypes == DTypes::kBool; });
    // What attention leaks, one of the three operations that it is made of leaks.
    if (!takes_mask || !op.has_gradient() || name == "scaled_dot_product_attention") continue;
    EXPECT_GT(count[name], 0) << name;
  }
  EXPECT_GE(mutants().size(), 25U);
}

}  // namespace
}  // namespace maskgrad
