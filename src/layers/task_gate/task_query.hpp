// Learned questions to a sequence, whose answers say which expert it is for.
#pragma once

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/task_gate/expert_mixture.hpp>

namespace maskgrad {

/// shares = softmax(s / temperature), s_c = p_c . w_c, where p_c is what a learned query of expert
/// c finds in the positions that exist, and a mixture of experts by them:
///
///   p_c = concat_h(softmax(q_ch k_h^T / sqrt(d)) v_h),   q_c = u_c q, k = x k, v = x v
///
/// x [B, S, D]. Parameters: query [C, D], u, normal(0, 1); score [C, D], w, normal(0, 1 / sqrt(D));
/// attention.q, k, v [D, D] and their biases, as MultiHeadAttention has them; those of the experts.
/// Pooling by attention with learned queries is that of Lee et al. 2019, "Set transformer".
class TaskQuery : public ExpertMixture {
 public:
  /// `features` is D, `heads` is H. Throws Error as ExpertMixture and MultiHeadAttention.
  TaskQuery(std::int64_t features, std::int64_t heads, Experts experts,
            Mixing mixing = Mixing::kSoft);

  /// p: what each query finds, [B, C, D]. Throws Error for an x of other dimensions.
  Variable found(const Variable& x, Pass& pass);

 protected:
  Variable shares(const Variable& x, const Tensor& exists, double temperature, Pass& pass) override;

 private:
  Variable answers(const Variable& x, Pass& pass);

  MultiHeadAttention& attention_;
  Parameter& query_;
  Parameter& score_;
};

}  // namespace maskgrad
