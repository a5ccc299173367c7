// Attention that every task asks in its own way.
#pragma once

#include <vector>

#include <maskgrad/layers/multi_head_attention.hpp>

namespace maskgrad {

/// What each task has of its own.
enum class TaskOwns : std::uint8_t {
  kProjections,  // q and k of its own
  kBias,         // a bias of the queries; q and k are shared
};

struct TaskAttentionOptions {
  AttentionKind kind = AttentionKind::kBidirectional;
  TaskOwns owns = TaskOwns::kProjections;
  bool bias = true;
};

/// MultiHeadAttention whose queries and keys are those of a task, while values and output are
/// shared: q = x q_t + q_bias_t and k = x k_t + k_bias_t for a sample of task t. With
/// TaskOwns::kBias it is q = x q + task_bias_t. (A bias of the keys would change no weight.)
/// Task-specific attention over shared features, as in Liu et al. 2019, "End-to-end multi-task
/// learning with attention".
///
/// Uses the mask of x and passes it on. x [B, S, D] -> [B, S, D]. Parameters, Glorot-uniform: q0
/// [D, D], q1, ... and k0, k1, ..., one for each task, or q and k [D, D]; v, o [D, D]. With
/// options.bias also q0_bias [D] and so on, 0. With kBias task_bias [tasks, D], 0.
///
/// Each position is multiplied by the matrices of its task alone. Tasks that no sample has are not
/// computed, so the work does not grow with the number of tasks.
class TaskAttention : public Layer {
 public:
  /// `features` is D. Throws Error unless D and `tasks` are above 0 and the heads divide D.
  TaskAttention(std::int64_t features, std::int64_t heads, std::int64_t tasks,
                const TaskAttentionOptions& options = {});

  /// y for samples of these tasks, int64 [B], the numbers 0 to tasks - 1. On a packed row they are
  /// the tasks of the batch, and follow its rows. Throws Error for other tasks, and as a call.
  Variable attend(const Variable& x, const Tensor& tasks, Pass& pass);

  /// As MultiHeadAttention.
  std::optional<ops::Work> row_work() const override;

 protected:
  /// Throws Error where there are several tasks: only attend() knows them.
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  struct Projection {
    Parameter* weight;
    Parameter* bias;  // nullptr where there is none
  };
  Projection projection(const std::string& name);
  Variable attended(const Variable& x, const Tensor& tasks, Pass& pass) const;
  void check_tasks(const Tensor& tasks, std::int64_t batch) const;
  Variable by_task(const Variable& x, const std::vector<Projection>& of_tasks,
                   const Tensor& tasks) const;
  Variable queries(const Variable& x, const Tensor& tasks) const;

  TaskAttentionOptions options_;
  std::int64_t features_, heads_, tasks_;
  std::vector<Projection> q_, k_;  // of each task, or one for all
  Projection v_, o_;
  Parameter* task_bias_ = nullptr;
};

}  // namespace maskgrad
