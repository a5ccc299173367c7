#include <cmath>

#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/math/reduce_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>

namespace maskgrad::ops {
namespace {

using Reduce = Variable(const Variable&, const Tensor&, std::int64_t, bool);

const OpDef& register_masked(const char* name, const char* summary, Reduce* function) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()},
                 mask_input(Reach::kEverything)},
      .args = {{"axis", std::int64_t{-1}}, {"keepdims", false}},
      .mask_rule = MaskRule::kUses,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("input"), call.input("mask").value(),
                         call.arg<std::int64_t>("axis"), call.arg<bool>("keepdims"))};
      },
      .samples = [](Random& r) -> std::vector<OpSample> {
        std::vector<OpSample> samples;
        for (const std::int64_t axis : {0, 1, -1}) {
          for (const Shape& keep : {Shape{2, 4, 3}, Shape{4, 1}, Shape{}}) {
            samples.push_back(
                {{{"input", sample_uniform(r, {2, 4, 3})}, {"mask", sample_bits(r, keep, 0.4)}},
                 {{"axis", axis}, {"keepdims", axis == 0}}});
          }
        }
        samples.push_back(
            {{{"input", sample_uniform(r, {3, 0})}, {"mask", sample_bits(r, {3, 0})}}});
        return samples;
      },
  });
}

const OpDef& kMaskedMean =
    register_masked("masked_mean", "mean along one axis over the kept places, 0 over none",
                    static_cast<Reduce*>(masked_mean));
const OpDef& kMaskedMax = register_masked(
    "masked_max", "largest element along one axis over the kept places, 0 over none",
    static_cast<Reduce*>(masked_max));

// x around one axis, with the mask that every element has. Each line along the axis is one result.
struct Reduction : Around {
  Tensor keep;        // bool, of the shape of x, on the host
  Tensor keep_there;  // the same where x is
  Shape keepdims, result;
  SequenceMask mask;
};

Reduction reduction_of(const OpDef& op, const Variable& x, const Tensor& keep,
                       std::int64_t axis_given, bool keepdims) {
  check_defined(op, {&x});
  check_defined(op, "mask", keep);
  const Tensor kept = kept_elements(op.name.c_str(), x, keep);
  check(x.rank() >= 1, op.name.c_str(), "needs at least one dimension");
  const int axis = x.shape().normalize(axis_given, op.name.c_str());
  check(axis > 0 || !x.mask().defined(), op.name.c_str(),
        "would mix the samples of a masked batch {}; drop_mask() it on purpose", x.shape());
  const Shape before = x.shape().slice(0, axis), after = x.shape().slice(axis + 1, x.rank());
  Reduction d{around(x.shape(), axis),     kept, kept.to(x.device()),
              x.shape().with_dim(axis, 1), {},   {}};
  d.result = keepdims ? d.keepdims : before.concat(after);
  if (axis > 1) d.mask = x.mask();
  return d;
}

// A result depends on the kept places along the axis.
Tensor reached(const Reduction& d, const Tensor& marked, const Way& way) {
  Tensor marks = Tensor::zeros(way.to(), DType::kBool);
  const bool *keep = d.keep.data<bool>(), *from = marked.data<bool>();
  bool* to = marks.data<bool>();
  for (std::int64_t i = 0; i < d.lines(); ++i) {
    for (std::int64_t j = 0; j < d.along; ++j) {
      const std::int64_t place = d.place(i, j);
      if (!keep[place]) continue;
      (way.back ? to[place] : to[i]) |= way.back ? from[i] : from[place];
    }
  }
  return marks;
}

std::int64_t kept_count(const Reduction& d, std::int64_t i) {
  std::int64_t count = 0;
  for (std::int64_t j = 0; j < d.along; ++j) count += d.keep.data<bool>()[d.place(i, j)];
  return count;
}

// Where along the axis the largest kept element of result i is; -1 over nothing.
template <class T>
std::int64_t largest(const Reduction& d, const T* x, std::int64_t i) {
  std::int64_t best = -1;
  for (std::int64_t j = 0; j < d.along; ++j) {
    const std::int64_t place = d.place(i, j);
    if (!d.keep.data<bool>()[place]) continue;
    const T value = x[place], top = best < 0 ? T{} : x[d.place(i, best)];
    if (best < 0 || value > top || (std::isnan(value) && !std::isnan(top))) best = j;
  }
  return best;
}

}  // namespace

// y = sum_kept x / count;  dx = g / count at the kept places, 0 at the others
Variable masked_mean(const Variable& x, const Tensor& keep, std::int64_t axis, bool keepdims) {
  const Reduction d = reduction_of(kMaskedMean, x, keep, axis, keepdims);
  Tensor y = Tensor::empty(d.result, x.dtype(), x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_mean", [&]<class T>(T) {
      const T* in = x.value().data<T>();
      for (std::int64_t i = 0; i < d.lines(); ++i) {
        const T sum = sum_terms<T>(d.along, [&](std::int64_t j) {
          const std::int64_t place = d.place(i, j);
          return d.keep.data<bool>()[place] ? in[place] : T{};
        });
        const std::int64_t count = kept_count(d, i);
        y.data<T>()[i] = count ? sum / static_cast<T>(count) : T{};
      }
    });
  };
  dispatch_device(x.device(), kMaskedMeanCuda, on_cpu, x.value(), d.keep_there, d, y);
  const auto rule = [d](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const auto back_on_cpu = [&] {
      dispatch_dtype(FloatingTypes{}, g.dtype(), "masked_mean", [&]<class T>(T) {
        for (std::int64_t i = 0; i < d.lines(); ++i) {
          const T share = g.data<T>()[i] / static_cast<T>(kept_count(d, i));
          for (std::int64_t j = 0; j < d.along; ++j) {
            const std::int64_t place = d.place(i, j);
            dx.data<T>()[place] = d.keep.data<bool>()[place] ? share : T{};
          }
        }
      });
    };
    dispatch_device(g.device(), kMaskedMeanGradientCuda, back_on_cpu, g, d.keep_there, d, dx);
  };
  return record(kMaskedMean, {&x}, std::move(y), d.mask,
                with_reach(rule, [d](std::size_t, const Tensor& marked,
                                     const Way& way) { return reached(d, marked, way); }),
                {{"mask", keep}, {"axis", axis}, {"keepdims", keepdims}});
}

// dx = g at the place that won, 0 elsewhere
Variable masked_max(const Variable& x, const Tensor& keep, std::int64_t axis, bool keepdims) {
  Reduction d = reduction_of(kMaskedMax, x, keep, axis, keepdims);
  Tensor y = Tensor::empty(d.result, x.dtype(), x.device());
  Tensor best = Tensor::empty({d.lines()}, DType::kInt64, x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_max", [&]<class T>(T) {
      const T* in = x.value().data<T>();
      for (std::int64_t i = 0; i < d.lines(); ++i) {
        const std::int64_t j = best.data<std::int64_t>()[i] = largest(d, in, i);
        y.data<T>()[i] = j < 0 ? T{} : in[d.place(i, j)];
      }
    });
  };
  dispatch_device(x.device(), kMaskedMaxCuda, on_cpu, x.value(), d.keep_there, d, best, y);
  d.keep_there = {};  // backward knows the places
  const auto rule = [d, best = std::as_const(best)](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const auto back_on_cpu = [&] {
      dx.fill(0.0);
      dispatch_dtype(FloatingTypes{}, g.dtype(), "masked_max", [&]<class T>(T) {
        for (std::int64_t i = 0; i < d.lines(); ++i) {
          const std::int64_t j = best.data<std::int64_t>()[i];
          if (j >= 0) dx.data<T>()[d.place(i, j)] = g.data<T>()[i];
        }
      });
    };
    dispatch_device(g.device(), kMaskedMaxGradientCuda, back_on_cpu, g, d, best, dx);
  };
  return record(kMaskedMax, {&x}, std::move(y), d.mask,
                with_reach(rule, [d](std::size_t, const Tensor& marked,
                                     const Way& way) { return reached(d, marked, way); }),
                {{"mask", keep}, {"axis", axis}, {"keepdims", keepdims}});
}

Variable masked_mean(const Variable& x, std::int64_t axis, bool keepdims) {
  return masked_mean(x, Tensor::full({}, 1, DType::kBool), axis, keepdims);
}

Variable masked_max(const Variable& x, std::int64_t axis, bool keepdims) {
  return masked_max(x, Tensor::full({}, 1, DType::kBool), axis, keepdims);
}

}  // namespace maskgrad::ops
