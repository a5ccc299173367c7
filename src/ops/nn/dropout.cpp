#include <algorithm>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kDropout = register_op({
    .name = "dropout",
    .summary = "elements left out at random, the others scaled up",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()},
               optional(integer_input("places"))},
    .args = {{"p", 0.5}, {"seed", std::int64_t{0}}, {"state", std::vector<std::int64_t>{}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const double p = call.arg<double>("p");
      const Random random = random_of_call(call, "dropout");
      if (!call.has("places")) return {dropout(call.input("input"), p, random)};
      return {dropout(call.input("input"), p, random, call.input("places").value())};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}},
              {{{"input", sample_uniform(r, {2, 5})}}, {{"p", 0.2}, {"seed", std::int64_t{3}}}},
              {{{"input", sample_uniform(r, {0})}}},
              {{{"input", sample_uniform(r, {2, 3, 2})},
                {"places", Tensor::from<std::int64_t>({7, 0, 1, 3, 3, 9}, {2, 3})}}}};
    },
});

constexpr std::int64_t kLeast = 2048;

// What a call draws. Places are undefined where element i takes number i.
struct Draw {
  double p;
  Random random;
  Tensor places;
};

// Which elements are kept: element i takes number i, on whichever thread.
Tensor draw_in_order(const Shape& shape, const Draw& draw) {
  Tensor keep = Tensor::empty(shape, DType::kBool);
  bool* const kept = keep.data<bool>();
  parallel_for(keep.numel(), kLeast, [&, p = draw.p](std::int64_t i, std::int64_t end) {
    Random own = draw.random;
    own.skip_uniforms(static_cast<std::uint64_t>(i));
    for (; i < end; ++i) kept[i] = own.uniform() >= p;
  });
  return keep;
}

// The same where position r begins with number places[r] F.
Tensor draw_at_places(const Shape& shape, const Draw& draw) {
  Tensor keep = Tensor::empty(shape, DType::kBool);
  if (keep.numel() == 0) return keep;
  const std::int64_t positions = draw.places.numel(), features = keep.numel() / positions;
  const std::int64_t* const place = draw.places.data<std::int64_t>();
  bool* const kept = keep.data<bool>();
  parallel_for(positions, kLeast / features + 1, [&, p = draw.p](auto r, std::int64_t end) {
    for (; r < end; ++r) {
      Random own = draw.random;
      own.skip_uniforms(static_cast<std::uint64_t>(place[r] * features));
      for (std::int64_t j = 0; j < features; ++j) kept[r * features + j] = own.uniform() >= p;
    }
  });
  return keep;
}

Tensor draw_kept(const Shape& shape, const Draw& draw) {
  return draw.places.defined() ? draw_at_places(shape, draw) : draw_in_order(shape, draw);
}

void check_places(const Variable& x, const Tensor& places) {
  check(places.defined() && places.dtype() == DType::kInt64 && x.rank() >= 2 &&
            places.shape() == x.shape().slice(0, 2),
        "dropout", "needs x [B, S, ...] and places int64 [B, S]; got {} and {} {}", x.shape(),
        places.defined() ? to_string(places.dtype()) : "no places",
        places.defined() ? places.shape() : Shape());
  if (places.numel() == 0) return;
  const auto [least, largest] = std::ranges::minmax(places.values<std::int64_t>());
  check(least >= 0, "dropout", "place {} is below 0", least);
  std::int64_t last = 0;
  const std::int64_t features = x.shape().numel() / places.numel();
  check(!__builtin_mul_overflow(largest, features, &last) &&
            !__builtin_add_overflow(last, features, &last),
        "dropout", "place {} is too large for {} elements a position", largest, features);
}

void check_share(const Variable& x, double p) {
  check_defined(kDropout, {&x});
  check(p >= 0 && p < 1, "dropout", "p must be at least 0 and below 1, got {}", p);
}

// Throws Error unless the generator has the numbers of all these elements left.
void check_left(const Draw& draw, std::int64_t elements) {
  std::int64_t numbers = elements;
  if (elements > 0 && draw.places.defined()) {
    const auto places = draw.places.values<std::int64_t>();
    numbers = (*std::ranges::max_element(places) + 1) * (elements / draw.places.numel());
  }
  Random(draw.random).skip_uniforms(static_cast<std::uint64_t>(numbers));
}

template <class Rule>
Variable recorded(const Variable& x, const Draw& draw, Tensor y, Rule rule) {
  const Random::State state = draw.random.state();
  return record(kDropout, {&x}, std::move(y), std::move(rule),
                {{"p", draw.p}, {"seed", 0}, {"state", state}, {"places", draw.places}});
}

Variable drop_on_cpu(const Variable& x, const Draw& draw) {
  const Tensor keep = draw_kept(x.shape(), draw);
  // Selected: a NaN that is dropped is gone.
  const functors::KeepScaled scaled{functors::Factor(1 / (1 - draw.p))};
  const auto rule = [=](const Tensor& g, Gradients& grads) {
    grads.set(0, map_elements("dropout", scaled, g, Conditions{keep}));
  };
  const auto reach = [keep](std::size_t, const Tensor& marked, const Way&) {
    return both(marked, keep);
  };
  return recorded(x, draw, map_elements("dropout", scaled, x.value(), Conditions{keep}),
                  with_reach(rule, reach));
}

// A device draws whenever the numbers are asked for.
Variable drop_on_device(const Variable& x, const Draw& draw) {
  check_left(draw, x.shape().numel());
  const Random::State state = draw.random.state();
  const Tensor numbers =
      Tensor::from(std::span<const std::int64_t>(state), {std::ssize(state)}, x.device());
  const Tensor places = draw.places.defined() ? draw.places.to(x.device()) : Tensor();
  const auto dropped = [p = draw.p, numbers, places](const Tensor& from) {
    Tensor to = Tensor::empty(from.shape(), from.dtype(), from.device());
    const auto on_cpu = [] {};
    dispatch_device(from.device(), kDropoutCuda, on_cpu, from, p, numbers,
                    places.defined() ? &places : nullptr, to);
    return to;
  };
  const auto rule = [dropped](const Tensor& g, Gradients& grads) { grads.set(0, dropped(g)); };
  const auto reach = [shape = x.shape(), draw](std::size_t, const Tensor& marked, const Way&) {
    return both(marked, draw_kept(shape, draw));
  };
  return recorded(x, draw, dropped(x.value()), with_reach(rule, reach));
}

Variable drop(const Variable& x, const Draw& draw) {
  if (draw.p == 0) return x;
  return x.device().type == DeviceType::kCpu ? drop_on_cpu(x, draw) : drop_on_device(x, draw);
}

}  // namespace

Variable dropout(const Variable& x, double p, Random random) {
  check_share(x, p);
  return drop(x, {p, random, {}});
}

Variable dropout(const Variable& x, double p, Random random, const Tensor& places) {
  check_share(x, p);
  check_places(x, places);
  return drop(x, {p, random, places});
}

}  // namespace maskgrad::ops
