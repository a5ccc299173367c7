#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {

std::string_view to_string(Price price) { return price == Price::kKept ? "kept" : "masked"; }

Price price_from_string(std::string_view name) {
  for (const Price price : {Price::kKept, Price::kMasked}) {
    if (to_string(price) == name) return price;
  }
  fail("price", "'{}' is not one of kept, masked", shortened(name));
}

ops::SumCount sparsity_cost(const Variable& kept, Price price) {
  check_given(kept.defined(), "sparsity_cost", "the kept share");
  check(kept.rank() == 2, "sparsity_cost", "needs [B, S], got {}", kept.shape());
  const Variable paid = price == Price::kMasked ? 1 - kept : kept;
  const std::int64_t count = kept.mask().defined() ? kept.mask().kept() : kept.shape().numel();
  return {ops::sum(ops::fill_masked(paid)), count};
}

}  // namespace maskgrad
