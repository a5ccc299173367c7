#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/loss_rules.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/nn/loss_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kCrossEntropy = register_op({
    .name = "cross_entropy",
    .summary = "sum of -log softmax(logits)[target], and how many targets",
    .inputs = {{.name = "logits", .reach = Reach::kByCall}, integer_input("targets")},
    .args = {{"label_smoothing", 0.0}},
    .outputs = {"sum", "count"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      SumCount loss = cross_entropy(call.input("logits"), call.input("targets").value(),
                                    call.arg<double>("label_smoothing"));
      return {loss.sum, Variable(Tensor::from<std::int64_t>({loss.count}, {}))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {
          {{{"logits", sample_uniform(r, {4, 20})}, {"targets", sample_indices(r, {4}, 20)}}},
          {{{"logits", sample_uniform(r, {2, 3, 5})}, {"targets", sample_indices(r, {2, 3}, 5)}}},
          {{{"logits", sample_uniform(r, {2, 2, 7})}, {"targets", sample_indices(r, {2, 2}, 7)}},
           {{"label_smoothing", 0.3}}},
          {{{"logits", sample_uniform(r, {0, 5})}, {"targets", sample_indices(r, {0}, 5)}}}};
    },
});

// Calls f(row, target) for each position that counts, and returns how many do.
template <class F>
std::int64_t for_each_target(const char* name, const Shape& logits, const Tensor& targets,
                             const SequenceMask& mask, F f) {
  const std::int64_t classes = logits.dim(-1);
  const bool* keep = mask.defined() ? mask.bits().data<bool>() : nullptr;
  std::int64_t count = 0;
  dispatch_dtype(IntegerTypes{}, targets.dtype(), name, [&]<class T>(T) {
    const T* ids = targets.data<T>();
    for (std::int64_t i = 0; i < targets.numel(); ++i) {
      if (keep && !keep[i]) continue;
      check(ids[i] >= 0 && ids[i] < classes, name,
            "target {} at element {} is outside the {} classes; to leave targets out, put a mask "
            "[B, S] on the logits [B, S, V] with with_mask()",
            ids[i], i, classes);
      f(i, static_cast<std::int64_t>(ids[i]));
      ++count;
    }
  });
  return count;
}

void check_shapes(const char* name, const Variable& logits, const Tensor& targets) {
  check_given(logits.defined(), name, "input 'logits'");
  check_given(targets.defined(), name, "input 'targets'");
  check(logits.rank() >= 1 && targets.shape() == logits.shape().slice(0, logits.rank() - 1), name,
        "logits {} need targets of their shape without the last dimension, got {}", logits.shape(),
        targets.shape());
  check(!logits.mask().defined() || logits.mask().shape() == targets.shape(), name,
        "a mask of {} does not say which of the targets {} count", logits.mask().shape(),
        targets.shape());
}

// The sum over c of q_c (top - x_c), where q = (1 - smoothing) onehot(target) + smoothing / n.
template <class T>
double smoothed_distance(const T* x, double top, std::int64_t target, double smoothing,
                         std::int64_t n) {
  const double share = smoothing / static_cast<double>(n);
  const double of_all = sum_terms<double>(
      n, [=](std::int64_t c) { return share * (top - static_cast<double>(x[c])); });
  if (smoothing == 1) return of_all;  // 0 times an infinite logit is NaN
  return math::multiply_add(1 - smoothing, top - static_cast<double>(x[target]), of_all);
}

// y = softmax(x); returns -log y[target], or its smoothed kind.
template <class T>
T softmax_and_loss(const T* x, std::int64_t target, double smoothing, T* y, std::int64_t n) {
  const auto [top, sum] = exp_row<T>(x, nullptr, y, n);
  divide_row<T>(nullptr, sum, y, n);
  // In this order, or a large top swallows the logarithm.
  if (smoothing == 0) return std::log(sum) + (top - x[target]);
  return static_cast<T>(static_cast<double>(std::log(sum)) +
                        smoothed_distance(x, top, target, smoothing, n));
}

using Targets = PoolVector<std::int64_t>;  // of each row; -1 where none counts

// Returns how many count.
std::int64_t read_targets(const char* name, const Variable& logits, const Tensor& targets,
                          Targets& ids) {
  ids.assign(static_cast<std::size_t>(targets.numel()), -1);
  return for_each_target(
      name, logits.shape(), targets, logits.mask(),
      [&](std::int64_t row, std::int64_t target) { ids[static_cast<std::size_t>(row)] = target; });
}

struct LossRows {
  double smoothing;
  Tensor softmax;  // of the rows that count, 0 elsewhere
  Targets ids = {};
  std::int64_t count = 0;

  ClassShares shares() const {
    const auto n = static_cast<double>(softmax.dim(-1));
    return {smoothing, 1 - smoothing * ((n - 1) / n), smoothing / n};
  }
};

// Rows side by side; their losses are added in double.
template <class T>
T sum_losses(const Tensor& logits, LossRows& rows) {
  const std::int64_t classes = logits.dim(-1);
  const auto size = static_cast<std::int64_t>(rows.ids.size());
  PoolVector<T> losses(rows.ids.size());
  parallel_for(size, least_for(64, classes), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const std::int64_t target = rows.ids[static_cast<std::size_t>(i)];
      if (target < 0) continue;
      losses[static_cast<std::size_t>(i)] =
          softmax_and_loss(logits.data<T>() + i * classes, target, rows.smoothing,
                           rows.softmax.data<T>() + i * classes, classes);
    }
  });
  // Sample by sample: what pads them must not change the order.
  const std::int64_t samples = samples_of(logits, 1);
  const std::int64_t of_sample = samples ? size / samples : 0;
  return static_cast<T>(sum_terms<double>(samples, [&](std::int64_t b) {
    return sum_terms<double>(of_sample, [&](std::int64_t s) {
      const auto i = static_cast<std::size_t>(b * of_sample + s);
      return rows.ids[i] >= 0 ? static_cast<double>(losses[i]) : 0.0;
    });
  }));
}

// dlogits = factor (softmax - onehot(target)) in rows that count
template <class T>
void spread_plain(const LossRows& rows, T factor, T* dlogits) {
  const functors::Scale times{functors::Factor(static_cast<double>(factor))};
  map_all(rows.softmax.numel(), dlogits, times, rows.softmax.data<T>());
  const std::int64_t classes = rows.softmax.dim(-1);
  for (const std::int64_t target : rows.ids) {
    if (target >= 0) dlogits[target] -= factor;
    dlogits += classes;
  }
}

// dlogits = factor (softmax - q) in rows that count, q being that of smoothed_distance()
template <class T>
void spread_smoothed(const LossRows& rows, T factor, T* dlogits) {
  const T* softmax = rows.softmax.data<T>();
  const std::int64_t classes = rows.softmax.dim(-1);
  const ClassShares shares = rows.shares();
  const functors::Factor times(static_cast<double>(factor));
  const functors::SoftmaxGradient others{times, functors::Factor(shares.other)},
      at_target{times, functors::Factor(shares.target)};
  map_all(rows.softmax.numel(), dlogits, others, softmax);
  for (const std::int64_t target : rows.ids) {
    if (target >= 0) dlogits[target] = at_target(softmax[target]);
    dlogits += classes;
    softmax += classes;
  }
}

template <class T>
void spread_rows(const LossRows& rows, T factor, T* dlogits) {
  rows.smoothing == 0 ? spread_plain(rows, factor, dlogits)
                      : spread_smoothed(rows, factor, dlogits);
  const std::int64_t classes = rows.softmax.dim(-1);
  for (const std::int64_t target : rows.ids) {
    if (target < 0) std::fill_n(dlogits, classes, T{});  // an infinite factor makes no 0 of 0
    dlogits += classes;
  }
}

// The gradient of the logits, 0 in rows that do not count.
void spread_losses(const LossRows& rows, const Tensor& g, Tensor& dlogits) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "cross_entropy",
                   [&]<class T>(T) { spread_rows(rows, *g.data<T>(), dlogits.data<T>()); });
  };
  dispatch_device(g.device(), kCrossEntropyGradientCuda, on_cpu, rows.softmax,
                  std::span<const std::int64_t>(rows.ids), rows.shares(), g, dlogits);
}

// Calls f(first row, targets) for sequences of `length` targets. Returns for how many it is true.
template <class F>
std::int64_t count_sequences(const Targets& ids, std::int64_t length, F f) {
  std::int64_t count = 0;
  for (std::int64_t first = 0; first + length <= std::ssize(ids); first += length) {
    if (f(first, std::span(ids).subspan(static_cast<std::size_t>(first),
                                        static_cast<std::size_t>(length)))) {
      ++count;
    }
  }
  return count;
}

bool counts(std::span<const std::int64_t> targets) {
  return std::any_of(targets.begin(), targets.end(), [](std::int64_t id) { return id >= 0; });
}

// Whether some targets count, and all that do have the largest logit.
template <class T>
bool are_hits(const T* logits, std::int64_t classes, std::span<const std::int64_t> targets) {
  bool all = true;
  for (const std::int64_t target : targets) {
    all = all && (target < 0 || is_largest(logits, classes, target));
    logits += classes;
  }
  return all && counts(targets);
}

// Of sequences of `length` targets.
HitsCount count_hits(const char* name, const Variable& logits, const Tensor& targets,
                     std::int64_t length) {
  const std::int64_t classes = logits.dim(-1);
  check(classes <= std::numeric_limits<std::int32_t>::max(), name, "{} classes are too many",
        classes);
  Targets ids;
  read_targets(name, logits, targets, ids);
  HitsCount result{Tensor::zeros({}, DType::kInt64, logits.device())};
  if (ids.empty()) return result;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, logits.dtype(), name, [&]<class T>(T) {
      const T* const x = logits.value().data<T>();
      *result.hits.data<std::int64_t>() =
          count_sequences(ids, length, [&](std::int64_t first, auto of_sequence) {
            return are_hits(x + first * classes, classes, of_sequence);
          });
    });
  };
  dispatch_device(logits.device(), name, kHitsCuda, on_cpu, logits.value(),
                  std::span<const std::int64_t>(ids), length, result.hits);
  result.count = count_sequences(ids, length, [](auto, auto sequence) { return counts(sequence); });
  return result;
}

}  // namespace

Variable SumCount::mean() const {
  check_given(sum.defined(), "mean", "the sum");
  return scale(sum, count ? 1.0 / static_cast<double>(count) : 0.0);
}

// dlogits = g (softmax(logits) - (1 - label_smoothing) onehot(target) - label_smoothing / V)
SumCount cross_entropy(const Variable& logits, const Tensor& targets, double label_smoothing) {
  check_shapes("cross_entropy", logits, targets);
  check(label_smoothing >= 0 && label_smoothing <= 1, "cross_entropy",
        "label_smoothing must be from 0 to 1, got {}", label_smoothing);
  const SequenceMask mask = logits.mask();
  LossRows rows = {label_smoothing, Tensor::zeros(logits.shape(), logits.dtype(), logits.device())};
  rows.count = read_targets("cross_entropy", logits, targets, rows.ids);
  Tensor total = Tensor::zeros({}, logits.dtype(), logits.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, logits.dtype(), "cross_entropy",
                   [&]<class T>(T) { *total.data<T>() = sum_losses<T>(logits.value(), rows); });
  };
  dispatch_device(logits.device(), kCrossEntropyCuda, on_cpu, logits.value(),
                  std::span<const std::int64_t>(rows.ids), label_smoothing, rows.softmax, total);
  Variable sum =
      record(kCrossEntropy, {&logits}, std::move(total),
             with_reach(
                 [rows](const Tensor& g, Gradients& grads) {
                   Tensor dlogits = grads.buffer(0);
                   spread_losses(rows, g, dlogits);
                 },
                 [mask](std::size_t, const Tensor& marked, const Way& way) {
                   return way.back ? without_holes(spread(Reach::kEverything, marked, way), mask)
                                   : spread(Reach::kEverything, without_holes(marked, mask), way);
                 }),
             {{"targets", targets}, {"label_smoothing", label_smoothing}});
  return {std::move(sum), rows.count};
}

HitsCount accuracy(const Variable& logits, const Tensor& targets) {
  check_shapes("accuracy", logits, targets);
  return count_hits("accuracy", logits, targets, 1);
}

HitsCount sequence_accuracy(const Variable& logits, const Tensor& targets) {
  constexpr const char* kName = "sequence_accuracy";
  check_shapes(kName, logits, targets);
  check(targets.rank() >= 1, kName, "targets must be those of sequences, not one number");
  const std::int64_t sequences = targets.dim(0);
  return count_hits(kName, logits, targets, sequences > 0 ? targets.numel() / sequences : 0);
}

}  // namespace maskgrad::ops
