// Which token comes next.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// How a token is drawn from logits. The filters apply one after another, each to what the one
/// before it left. The defaults draw from the whole distribution; a temperature of 0 takes the
/// token with the largest logit.
struct SampleOptions {
  double temperature = 1;  // logits are divided by it
  std::int64_t top_k = 0;  // the k most probable tokens (Fan et al. 2018); 0: all
  double top_p = 1;        // the fewest most probable ones whose probabilities reach p (Holtzman et
                           // al. 2020)
  double min_p = 0;        // those with at least min_p of the largest probability (Nguyen et al.
                           // 2024)
};
/// Throws Error for a temperature below 0 or not finite, a top_k below 0, a top_p that is not in
/// (0, 1], and a min_p that is not in [0, 1]. The error calls an option as `name_of` does, "top_k"
/// where it is empty.
void check_options(const SampleOptions& options,
                   const std::function<std::string(const std::string&)>& name_of = {});

/// The probabilities of tokens under the options: softmax in double, 0 for those that a filter
/// leaves out. logits: floating [V]. Of tokens with equal probability those with smaller numbers
/// come first. -inf stands for a token that never comes. Throws Error for no logits, for a logit
/// that is NaN or +inf, when all are -inf, and as check_options().
std::vector<double> probabilities(const Tensor& logits, const SampleOptions& options);

/// ln softmax(logits)[i] for each token i, in double; -inf for a token of logit -inf. Throws Error
/// as probabilities() for such logits.
std::vector<double> log_probabilities(const Tensor& logits);

/// Token i with probability probabilities()[i], `uniform` being a random number in [0, 1).
std::int64_t sample_token(const Tensor& logits, const SampleOptions& options, double uniform);

}  // namespace maskgrad
