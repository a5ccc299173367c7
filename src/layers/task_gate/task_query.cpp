#include <cmath>

#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/task_gate/task_query.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

std::unique_ptr<MultiHeadAttention> attention_of(std::int64_t features, std::int64_t heads) {
  MultiHeadAttentionOptions options;
  options.output_matrix = false;
  return std::make_unique<MultiHeadAttention>(features, heads, options);
}

}  // namespace

TaskQuery::TaskQuery(std::int64_t features, std::int64_t heads, Experts experts, Mixing mixing)
    : ExpertMixture("TaskQuery", features, std::move(experts), mixing),
      attention_(submodule("attention", attention_of(features, heads))),
      query_(parameter("query", {static_cast<std::int64_t>(size()), features}, normal(0, 1))),
      score_(parameter("score", query_.shape(),
                       normal(0, 1 / std::sqrt(static_cast<double>(features))))) {}

Variable TaskQuery::found(const Variable& x, Pass& pass) {
  const Scope scope(name());
  check_given(x.defined(), "TaskQuery", "its input");
  return answers(x, pass);
}

// p, within the scope of the layer.
Variable TaskQuery::answers(const Variable& x, Pass& pass) {
  check_sequences("TaskQuery", x, features());
  const Shape shape = {x.dim(0), query_.shape()[0], features()};
  return attention_.attend(ops::broadcast_to(query_, shape), x, pass);
}

Variable TaskQuery::shares(const Variable& x, const Tensor& exists, double temperature,
                           Pass& pass) {
  const Variable scores = ops::sum(ops::multiply(answers(x, pass), score_), {2});
  return ops::masked_softmax(ops::scale(scores, 1 / temperature), exists);
}

}  // namespace maskgrad
