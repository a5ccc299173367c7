#include <atomic>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/loss_rules.hpp>
#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/ops/nn/loss_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/mask/mask_checks.hpp>

namespace maskgrad::ops {
namespace {

std::vector<Variable> outputs_of(const SumCount& loss) {
  return {loss.sum, Variable(Tensor::from<std::int64_t>({loss.count}, {}))};
}

// Two inputs of one shape, the second not below `low`, and below `high`.
std::vector<OpSample> samples_of_two(Random& r, const char* first, const char* second, double low,
                                     double high) {
  std::vector<OpSample> samples;
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{5}, Shape{3, 2}, Shape{}, Shape{0, 3}}) {
    samples.push_back(
        {{{first, sample_uniform(r, shape)}, {second, sample_uniform(r, shape, low, high)}}});
  }
  return samples;
}

const OpDef& kMse = register_op({
    .name = "mse",
    .summary = "sum of (prediction - target)^2, and how many elements",
    .inputs = {{.name = "prediction", .reach = Reach::kByCall},
               {.name = "target", .reach = Reach::kByCall}},
    .outputs = {"sum", "count"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return outputs_of(mse(call.input("prediction"), call.input("target")));
    },
    .samples = [](Random& r) { return samples_of_two(r, "prediction", "target", -2, 2); },
});

const OpDef& kBceWithLogits = register_op({
    .name = "bce_with_logits",
    .summary = "sum of -t log sigmoid(x) - (1 - t) log sigmoid(-x), and how many elements",
    .inputs = {{.name = "logits", .reach = Reach::kByCall},
               {.name = "targets", .reach = Reach::kEverything, .differentiable = false}},
    .outputs = {"sum", "count"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return outputs_of(bce_with_logits(call.input("logits"), call.input("targets").value()));
    },
    .samples = [](Random& r) { return samples_of_two(r, "logits", "targets", 0, 1); },
});

void check_alike(const OpDef& op, const Tensor& x, const Tensor& target) {
  check(x.shape() == target.shape(), op.name.c_str(),
        "the inputs must have one shape, got {} and {}; reshape() or broadcast_to() on purpose",
        x.shape(), target.shape());
  check(x.dtype() == target.dtype(), op.name.c_str(),
        "the inputs are {} and {}, they must be the same", to_string(x.dtype()),
        to_string(target.dtype()));
}

// Which elements of a value [B, S, ...] count.
class Counted : public KeptPlaces {
 public:
  Counted(const SequenceMask& mask, const Shape& shape)
      : KeptPlaces(mask, shape),
        count_(mask.defined() ? mask.kept() * shape.slice(2, shape.rank()).numel()
                              : shape.numel()) {}

  std::int64_t count() const { return count_; }
  Tensor among(const Tensor& x) const { return without_holes(x, mask()); }
  Tensor reached(const Tensor& marked, const Way& way) const {
    return way.back ? among(spread(Reach::kEverything, marked, way))
                    : spread(Reach::kEverything, among(marked), way);
  }

 private:
  std::int64_t count_;
};

// Rule(x, t) added over what counts, in double; sample by sample, as what pads them must not change
// the order.
template <class Rule>
Tensor total(const OpDef& op, Rule rule, const Tensor& x, const Tensor& target,
             const Counted& counted) {
  Tensor result = Tensor::empty({}, x.dtype(), x.device());
  const std::int64_t samples = samples_of(x);
  const std::int64_t each = samples ? x.numel() / samples : 0;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), [&]<class T>(T) {
      PoolVector<double> sums(static_cast<std::size_t>(samples));
      const auto term = [&](std::int64_t b, std::int64_t j) {
        const std::int64_t at = b * each + j;
        if (!counted[at]) return 0.0;
        return rule(static_cast<double>(x.data<T>()[at]),
                    static_cast<double>(target.data<T>()[at]));
      };
      sum_terms_of_rows(samples, each, 16, term, sums.data());
      *result.data<T>() = static_cast<T>(sum_terms<double>(
          samples, [&](std::int64_t b) { return sums[static_cast<std::size_t>(b)]; }));
    });
  };
  dispatch_device(x.device(), op.name.c_str(), kLossSumCuda<Rule>, on_cpu, x, target,
                  counted.mask(), result);
  return result;
}

// The gradient of x in total().
template <class Rule>
Tensor gradient_of(const OpDef& op, Rule rule, const Tensor& x, const Tensor& target,
                   const Tensor& g, const Counted& counted) {
  const functors::LossGradientOf<Rule> slope{rule};
  return counted.among(zip_elements(op.name.c_str(), slope, x, target, g));
}

template <class T>
bool is_probability(T t) {
  return t >= 0 && t <= 1;
}

// On the host.
void refuse_first_target(const Tensor& targets, const Counted& counted) {
  dispatch_dtype(FloatingTypes{}, targets.dtype(), "bce_with_logits", [&]<class T>(T) {
    const T* t = targets.data<T>();
    std::int64_t first = 0;
    while (is_probability(t[first]) || !counted[first]) ++first;
    fail("bce_with_logits",
         "target {} at element {} is outside 0 .. 1; to leave targets out, put a mask on the "
         "logits with with_mask()",
         t[first], first);
  });
}

// Waits for a device that the targets are on.
void check_targets(const Tensor& targets, const Counted& counted) {
  bool fit = true;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, targets.dtype(), "bce_with_logits", [&]<class T>(T) {
      const T* t = targets.data<T>();
      std::atomic<bool> all = true;
      parallel_for(targets.numel(), least_for(2), [&](std::int64_t i, std::int64_t end) {
        while (i < end && (is_probability(t[i]) || !counted[i])) ++i;
        if (i < end) all = false;
      });
      fit = all;
    });
  };
  dispatch_device(targets.device(), kTargetsFitCuda, on_cpu, targets, counted.mask(), fit);
  if (!fit) refuse_first_target(targets.to(Device{}), counted);
}

}  // namespace

// dprediction = 2 g (prediction - target), dtarget = -dprediction
SumCount mse(const Variable& prediction, const Variable& target) {
  constexpr functors::SquaredError kRule;
  check_defined(kMse, {&prediction, &target});
  check_alike(kMse, prediction.value(), target.value());
  if (prediction.mask().defined() && target.mask().defined()) {
    check_same_mask("mse", prediction.mask(), target.mask());
  }
  const Counted counted(prediction.mask().defined() ? prediction.mask() : target.mask(),
                        prediction.shape());
  const auto rule = [=, x = Saved(kMse, "prediction", prediction.value()),
                     t = Saved(kMse, "target", target.value())](const Tensor& g, Gradients& grads) {
    const Tensor dx = gradient_of(kMse, kRule, *x, *t, g, counted);
    grads.set(0, dx);
    if (grads.needed(1)) grads.set(1, map_elements("mse", functors::Negate(), dx));
  };
  const auto reach = [counted](std::size_t, const Tensor& marked, const Way& way) {
    return counted.reached(marked, way);
  };
  Variable sum = record(kMse, {&prediction, &target},
                        total(kMse, kRule, prediction.value(), target.value(), counted),
                        with_reach(rule, reach));
  return {std::move(sum), counted.count()};
}

// dlogits = g (sigmoid(logits) - targets)
SumCount bce_with_logits(const Variable& logits, const Tensor& targets) {
  constexpr functors::BinaryCrossEntropy kRule;
  check_defined(kBceWithLogits, {&logits});
  check_defined(kBceWithLogits, "targets", targets);
  check_alike(kBceWithLogits, logits.value(), targets);
  const Counted counted(logits.mask(), logits.shape());
  check_targets(targets, counted);
  const auto rule = [=, x = Saved(kBceWithLogits, "logits", logits.value()),
                     t = Saved(kBceWithLogits, "targets", targets)](const Tensor& g,
                                                                    Gradients& grads) {
    grads.set(0, gradient_of(kBceWithLogits, kRule, *x, *t, g, counted));
  };
  const auto reach = [counted](std::size_t, const Tensor& marked, const Way& way) {
    return counted.reached(marked, way);
  };
  Variable sum = record(kBceWithLogits, {&logits},
                        total(kBceWithLogits, kRule, logits.value(), targets, counted),
                        with_reach(rule, reach), {{"targets", targets}});
  return {std::move(sum), counted.count()};
}

}  // namespace maskgrad::ops
