#include <algorithm>

#include <maskgrad/ops/nn/recurrent_call.hpp>
#include <maskgrad/ops/op_inputs.hpp>

namespace maskgrad::ops {
namespace {

void check_shapes(const char* name, std::int64_t gates, const RecurrentInputs& in) {
  check(in.w.rank() == 2 && in.w.dim(1) == gates * in.w.dim(0), name, "needs w_h [H, {} H], got {}",
        gates, in.w.shape());
  const std::int64_t width = in.w.dim(1);
  check(in.gates.rank() == 3 && in.gates.dim(2) == width, name, "needs gates [B, S, {}], got {}",
        width, in.gates.shape());
  check(!in.bias || in.bias->shape() == Shape{width}, name, "needs b_h {}, got {}", Shape{width},
        in.bias ? in.bias->shape() : Shape{});
}

// A parameter or a state.
void check_beside(const char* name, const char* input, const Variable& x, const Variable& gates) {
  check(x.dtype() == gates.dtype(), name, "the gates are {}, {} is {}: they must be the same",
        to_string(gates.dtype()), input, to_string(x.dtype()));
  check(x.device() == gates.device(), name, "got one input on cuda and another on cpu");
  check(!x.mask().defined(), name, "{} takes no mask; drop_mask() it on purpose", input);
}

void check_states(const char* name, std::int64_t sequences, const RecurrentInputs& in) {
  const Shape shape = {sequences, in.w.dim(0)};
  constexpr const char* kNames[] = {"h", "c"};
  for (std::size_t s = 0; s < in.start.size() && in.start[s]; ++s) {
    const Variable& state = *in.start[s];
    check(state.defined() == in.has_start(), name, "needs both h and c, or neither");
    if (!state.defined()) continue;
    check(state.shape() == shape, name, "needs {} {}, got {}", kNames[s], shape, state.shape());
    check_beside(name, kNames[s], state, in.gates);
  }
}

void check_segments(const char* name, const Variable& gates, const RecurrentOptions& options) {
  const Shape positions = gates.shape().slice(0, 2);
  const Tensor& segments = options.segments;
  check(segments.dtype() == DType::kInt64 && segments.shape() == positions && positions[0] == 1,
        name, "segments {} {} do not fit gates {}: a packed row needs int64 [1, K]",
        to_string(segments.dtype()), segments.shape(), gates.shape());
  check(!gates.mask().defined(), name, "all of a packed row exists, but it carries a mask");
  check(options.sequences >= 0, name, "there are no {} sequences", options.sequences);
  for (const std::int64_t b : segments.values<std::int64_t>()) {
    check(b >= 0 && b < options.sequences, name, "segment {} is none of {} sequences", b,
          options.sequences);
  }
}

bool any_of_row(const bool* marks, std::int64_t row, std::int64_t n) {
  return std::any_of(marks + row * n, marks + (row + 1) * n, [](bool mark) { return mark; });
}

// Calls f(sequence, position) for all rows of the plan, in the order of the scan or the other way
// round.
template <class F>
void for_each_row(const ScanPlan& plan, bool back, F f) {
  for (std::int64_t p = 0; p < plan.parts(); ++p) {
    const ScanPart part = plan.part(p);
    PoolVector<std::int64_t> sequences;
    for (const std::int64_t count : part.counts) {
      sequences.insert(sequences.end(), part.sequences.begin(), part.sequences.begin() + count);
    }
    const std::int64_t rows = std::ssize(sequences);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = back ? rows - 1 - i : i;
      f(sequences[static_cast<std::size_t>(row)], plan.position(part.first_row + row));
    }
  }
}

// A mark on a state marks all states that follow.
Tensor marks_through(const ScanPlan& plan, RecurrentInput input, const Tensor& marked,
                     const Way& way) {
  const bool from_state = way.back ? way.which > 0 : input == RecurrentInput::kState;
  const bool to_state = way.back ? input == RecurrentInput::kState : way.which > 0;
  const std::int64_t n = marked.dim(-1), width = way.to().dim(-1);
  const bool* const from = marked.data<bool>();
  Tensor reached = Tensor::zeros(way.to(), DType::kBool);
  bool* const to = reached.data<bool>();
  PoolVector<std::uint8_t> state(static_cast<std::size_t>(plan.sequences()));
  for (std::size_t b = 0; from_state && b < state.size(); ++b) {
    state[b] = any_of_row(from, static_cast<std::int64_t>(b), n);
  }
  for_each_row(plan, way.back, [&](std::int64_t b, std::int64_t position) {
    std::uint8_t& of_sequence = state[static_cast<std::size_t>(b)];
    if (!from_state) of_sequence |= any_of_row(from, position, n);
    if (!to_state) std::fill_n(to + position * width, width, of_sequence != 0);
  });
  for (std::size_t b = 0; to_state && b < state.size(); ++b) {
    std::fill_n(to + static_cast<std::int64_t>(b) * width, width, state[b] != 0);
  }
  return reached;
}

}  // namespace

void check_recurrent(const OpDef& op, std::int64_t gates, const RecurrentInputs& in,
                     const RecurrentOptions& options) {
  const char* name = op.name.c_str();
  check_shapes(name, gates, in);
  check_beside(name, "w_h", in.w, in.gates);
  if (in.bias) check_beside(name, "b_h", *in.bias, in.gates);
  if (options.segments.defined()) check_segments(name, in.gates, options);
  check_states(name, options.segments.defined() ? options.sequences : in.gates.dim(0), in);
}

Ref<ScanPlan> plan_of(const RecurrentInputs& in, const RecurrentOptions& options) {
  const std::int64_t hidden = in.w.dim(0);
  if (options.segments.defined()) {
    const Tensor& segments = options.segments;
    return make_ref<ScanPlan>(segments.values<std::int64_t>(), options.sequences, options.reverse,
                              hidden);
  }
  return make_ref<ScanPlan>(in.gates.shape(), in.gates.mask(), options.reverse, hidden);
}

Tensor recurrent_reached(const ScanPlan& plan, RecurrentInput input, const Tensor& marked,
                         const Way& way) {
  if (input != RecurrentInput::kParameter) return marks_through(plan, input, marked, way);
  Tensor reached = Tensor::zeros(way.to(), DType::kBool);
  if (!any(marked)) return reached;
  if (way.back || way.which > 0) {
    reached.fill(true);
    return reached;
  }
  for_each_row(plan, false, [&, to = reached.data<bool>()](std::int64_t, std::int64_t position) {
    std::fill_n(to + position * way.to().dim(-1), way.to().dim(-1), true);
  });
  return reached;
}

RecurrentOptions options_of(const OpCall& call) {
  RecurrentOptions options = {.reverse = call.arg<bool>("reverse"),
                              .sequences = call.arg<std::int64_t>("sequences")};
  if (call.has("segments")) options.segments = call.input("segments").value();
  return options;
}

}  // namespace maskgrad::ops
