#include <algorithm>
#include <numeric>
#include <span>

#include <maskgrad/layers/adaptive_attention/task_attention.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "TaskAttention";

// The task of each position of x [B, S, ...], int64 [B, S].
Tensor task_of_each(const Variable& x, const Tensor& tasks, const Pass& pass) {
  Tensor each = Tensor::empty(x.shape().slice(0, 2), DType::kInt64);
  const std::int64_t* const task = tasks.data<std::int64_t>();
  const std::int64_t* const segment =
      pass.packing() ? pass.packing()->segments.data<std::int64_t>() : nullptr;
  for (std::int64_t i = 0; i < each.numel(); ++i) {
    each.data<std::int64_t>()[i] = task[segment ? segment[i] : i / x.dim(1)];
  }
  return each;
}

// The numbers of the rows of each task, one task after another, in one pass.
struct RowsOfTasks {
  RowsOfTasks(std::span<const std::int64_t> tasks, std::int64_t count)
      : ends(static_cast<std::size_t>(count)),
        rows(Tensor::empty({std::ssize(tasks)}, DType::kInt64)),
        places(Tensor::empty(rows.shape(), DType::kInt64)) {
    for (const std::int64_t task : tasks) ++ends[static_cast<std::size_t>(task)];
    std::exclusive_scan(ends.begin(), ends.end(), ends.begin(), std::int64_t{0});
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const std::int64_t place = ends[static_cast<std::size_t>(tasks[i])]++;
      rows.data<std::int64_t>()[place] = static_cast<std::int64_t>(i);
      places.data<std::int64_t>()[i] = place;
    }
  }

  PoolVector<std::int64_t> ends;  // in rows, of each task
  Tensor rows, places;            // places: where each row stands in rows
};

}  // namespace

TaskAttention::TaskAttention(std::int64_t features, std::int64_t heads, std::int64_t tasks,
                             const TaskAttentionOptions& options)
    : Layer("TaskAttention", MaskRule::kUses),
      options_(options),
      features_(features),
      heads_(heads),
      tasks_(tasks) {
  check_sizes(kName, "features and tasks", features, tasks);
  check(heads > 0 && features % heads == 0, kName, "{} heads do not divide {} features", heads,
        features);
  if (options.owns == TaskOwns::kBias) {
    q_ = {projection("q")};
    k_ = {projection("k")};
    task_bias_ = &parameter("task_bias", {tasks, features}, zeros());
  } else {
    for (std::int64_t t = 0; t < tasks; ++t) q_.push_back(projection(fmt::format("q{}", t)));
    for (std::int64_t t = 0; t < tasks; ++t) k_.push_back(projection(fmt::format("k{}", t)));
  }
  v_ = projection("v");
  o_ = projection("o");
}

TaskAttention::Projection TaskAttention::projection(const std::string& name) {
  return {&parameter(name, {features_, features_}, glorot_uniform()),
          options_.bias ? &parameter(name + "_bias", {features_}, zeros()) : nullptr};
}

std::optional<ops::Work> TaskAttention::row_work() const {
  return ops::Work{.per_position = 12 * features_ * features_,
                   .per_pair = 7 * features_ + 32 * heads_};
}

void TaskAttention::check_tasks(const Tensor& tasks, std::int64_t batch) const {
  check_given(tasks.defined(), kName, "tasks");
  check(tasks.dtype() == DType::kInt64 && tasks.rank() == 1, kName,
        "needs tasks int64 [B], got {} {}", to_string(tasks.dtype()), tasks.shape());
  check(tasks.dim(0) == batch, kName, "got {} tasks for {} samples", tasks.dim(0), batch);
  for (const std::int64_t task : tasks.values<std::int64_t>()) {
    check(0 <= task && task < tasks_, kName, "task {} is none of 0 to {}", task, tasks_ - 1);
  }
}

// x times the matrix of each position's task. Rows of a product do not depend on each other.
Variable TaskAttention::by_task(const Variable& x, const std::vector<Projection>& of_tasks,
                                const Tensor& tasks) const {
  if (of_tasks.size() == 1) return project(x, *of_tasks[0].weight, of_tasks[0].bias);
  const Variable rows = ops::reshape(x, {x.dim(0) * x.dim(1), features_});
  const RowsOfTasks sorted(tasks.values<std::int64_t>(), tasks_);
  PoolVector<Variable> parts;
  std::int64_t begin = 0;
  for (std::size_t t = 0; t < of_tasks.size(); begin = sorted.ends[t++]) {
    const bool is_needed = sorted.ends[t] > begin || (rows.dim(0) == 0 && t == 0);
    if (!is_needed) continue;
    const Tensor taken = sorted.rows.view(begin, {sorted.ends[t] - begin});
    const Projection& p = of_tasks[t];
    parts.push_back(project(ops::index_select(rows, 0, taken), *p.weight, p.bias));
  }
  const Variable y = ops::index_select(ops::concat(parts, 0), 0, sorted.places);
  return ops::reshape(y, x.shape().dims());
}

Variable TaskAttention::queries(const Variable& x, const Tensor& tasks) const {
  const Variable q = by_task(x, q_, tasks);
  return task_bias_ ? ops::add(q, ops::embedding(*task_bias_, Variable(tasks))) : q;
}

Variable TaskAttention::attended(const Variable& x, const Tensor& tasks, Pass& pass) const {
  check_sequences(kName, x, features_);
  const ops::Packing* const packing = pass.packing();
  check_tasks(tasks, packing ? packing->mask.shape()[0] : x.dim(0));
  const Tensor each = task_of_each(x, tasks, pass);
  const Variable input = ops::fill_masked(x);
  const Variable q = queries(input, each), k = by_task(input, k_, each),
                 v = project(input, *v_.weight, v_.bias);
  const ops::AttentionPlan plan = pass.attention(x, options_.kind);
  const auto [keys, values] = pass.with_cache(x, k, v);
  ops::AttentionOptions options;
  options.heads = heads_;
  const Variable y = project(ops::scaled_dot_product_attention(q, keys, values, plan, options),
                             *o_.weight, o_.bias);
  return with_mask_of(x, y);
}

Variable TaskAttention::attend(const Variable& x, const Tensor& tasks, Pass& pass) {
  return checked(x, pass, [&] { return attended(x, tasks, pass); });
}

Variable TaskAttention::forward(const Variable& x, Pass& pass) {
  check(tasks_ == 1, kName, "needs the tasks of the samples: call attend()");
  check_sequences(kName, x, features_);
  const std::int64_t batch = pass.packing() ? pass.packing()->mask.shape()[0] : x.dim(0);
  return attended(x, Tensor::zeros({batch}, DType::kInt64), pass);
}

}  // namespace maskgrad
