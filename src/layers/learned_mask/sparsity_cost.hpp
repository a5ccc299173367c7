// What a mask costs beside the loss of its task.
#pragma once

#include <maskgrad/ops/nn/loss.hpp>

namespace maskgrad {

/// What is paid for: each token that is kept, or each that is masked.
enum class Price : std::uint8_t { kKept, kMasked };
/// "kept", "masked".
std::string_view to_string(Price price);
/// The inverse. Throws Error for any other text.
Price price_from_string(std::string_view name);

/// What a mask costs. Its sum times a weight is a term beside a sum of losses: then the weight is
/// what a token costs, in nats. A mask learns best with a weight that begins when its task is
/// learned, and rises slowly: see Ramp.
/// The sum over positions of kept, or of 1 - kept with kMasked, and how many positions there are.
/// `kept` [B, S] is Sampler::kept(). Positions that its mask leaves out do not count. Throws Error
/// for another number of dimensions.
ops::SumCount sparsity_cost(const Variable& kept, Price price = Price::kKept);

}  // namespace maskgrad
