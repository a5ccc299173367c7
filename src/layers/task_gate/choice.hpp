// Which of several candidates each sample of a batch is given to.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// Shares of C candidates for each of B samples.
struct Choice {
  Variable shares;  // [B, C]; a row adds up to 1, or is 0 for a sample without positions
  Tensor best;      // int64 [B]: the candidate with the largest share, the first of equal ones,
                    // and NaN is the largest; -1 for a sample without positions
};

/// The choice that these shares [B, C] make. `exists` says which samples have positions, bool [B]
/// or [B, 1]; without it, those whose shares are not all 0. Shares are on the CPU. Throws Error for
/// other shapes, and for no candidates.
Choice choice_of(const Variable& shares, const Tensor& exists = {});

/// H(mean of g_b), H(g) = -sum_c g_c log g_c, in nats, a number: log C where all candidates have as
/// much, 0 where one has all. Samples without positions do not count; it is 0 when none counts.
Variable mean_entropy(const Choice& choice);

/// I = H(mean of g_b) - mean of H(g_b): the mutual information of sample and candidate, in nats, a
/// number. It is 0 where all samples share alike, and log C where each has one candidate and all
/// candidates have as many. Its negative is a term of the loss that keeps candidates in balance and
/// makes choices decided. Samples without positions do not count; it is 0 when none counts. The
/// gradient of a share of 0 is 0. A share that is NaN gives NaN. Bridle et al. 1992, "Unsupervised
/// classifiers, mutual information and phantom targets".
Variable mutual_information(const Choice& choice);

}  // namespace maskgrad
