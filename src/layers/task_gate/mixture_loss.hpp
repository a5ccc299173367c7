// How probable a mixture of experts holds an answer.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// log p of each answer, log softmax(logits)[target] added up over the tokens of the answer: logits
/// [B, T, V], targets int64 [B, T] -> [B, 1]. Throws Error for other shapes, as gather() for a
/// target outside 0 .. V-1, and for logits that carry a mask.
Variable log_likelihood(const Variable& logits, const Tensor& targets);

/// -log(sum_c g_c p_c^b) / b for each sample, [B]: of shares g [B, C], log p_c [B, C] and a power
/// b. With b = 1 it is the likelihood of the mixture. Its gradient on log p_c is the negative of
/// expert c's share in the answer, g_c p_c^b / sum_c g_c p_c^b: who explains an answer learns it.
/// With b near 0 it is nearly sum_c g_c (-log p_c), which is never smaller: who is given a sample
/// learns it, and the experts divide up the samples only as far as the choice does. A share counts
/// as 10^-30 at least, so that the loss stays finite where an expert knows the answer. It is Inf
/// where all log p_c are -Inf, and NaN where a share or a log p_c is NaN. A sample whose shares are
/// all 0 has no choice: its loss is 0, and its log p_c are not read. Computed after subtracting the
/// largest term, so that no p_c underflows. What is rounded is divided by b, so b is 0.001 at
/// least. Jacobs et al. 1991, "Adaptive mixtures of local experts"; the power is that of Ueda &
/// Nakano 1998, "Deterministic annealing EM algorithm". Throws Error for other shapes, and for a
/// power that is not from 0.001 to 1.
Variable mixture_loss(const Variable& shares, const Variable& log_likelihoods, double power = 1);

}  // namespace maskgrad
