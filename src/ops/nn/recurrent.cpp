#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/nn/recurrent_call.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>

namespace maskgrad::ops {
namespace {

InputSpec input(const char* name, Reads gradient) {
  return {.name = name, .reach = Reach::kByCall, .gradient = std::move(gradient)};
}

const std::vector<ArgSpec> kArgs = {{"reverse", false}, {"sequences", std::int64_t{0}}};

Variable optional_input(const OpCall& call, const char* name) {
  return call.has(name) ? call.input(name) : Variable();
}

// Batches with and without states, in both directions, of a sequence with nothing and of none.
std::vector<OpSample> samples(Random& r, std::int64_t gates, bool has_c, bool has_bias) {
  constexpr std::int64_t kHidden = 2;
  const auto batch = [&](const Shape& positions, std::int64_t sequences, bool has_start) {
    OpSample sample = {{{"gates", sample_uniform(r, positions.concat({gates * kHidden}))},
                        {"w_h", sample_uniform(r, {kHidden, gates * kHidden})}}};
    if (has_bias) sample.inputs.emplace("b_h", sample_uniform(r, {gates * kHidden}));
    if (has_start) sample.inputs.emplace("h", sample_uniform(r, {sequences, kHidden}));
    if (has_start && has_c) sample.inputs.emplace("c", sample_uniform(r, {sequences, kHidden}));
    return sample;
  };
  std::vector<OpSample> all = {batch({2, 3}, 2, true), batch({1, 3}, 1, false),
                               batch({2, 2}, 2, true), batch({1, 4}, 3, true),
                               batch({2, 0}, 2, true), batch({0, 2}, 0, false)};
  all[2].args.emplace("reverse", true);
  all[3].inputs.emplace("segments", Tensor::from<std::int64_t>({0, 0, 2, 2}, {1, 4}));
  all[3].args.emplace("sequences", std::int64_t{3});
  return all;
}

const OpDef& kLstm = register_op({
    .name = "lstm",
    .summary = "a long short-term memory over the positions that exist, and its last state",
    .inputs = {input("gates", {"gates", "w_h", "h", "c"}), input("w_h", {"gates", "w_h", "h", "c"}),
               optional(input("h", {"gates", "w_h", "h", "c"})),
               optional(input("c", {"gates", "w_h", "h", "c"})),
               optional(integer_input("segments"))},
    .args = kArgs,
    .outputs = {"output", "last_h", "last_c"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const LstmState start = {optional_input(call, "h"), optional_input(call, "c")};
      LstmOutput made = lstm(call.input("gates"), call.input("w_h"), start, options_of(call));
      return {made.output, made.last.h, made.last.c};
    },
    .samples = [](Random& r) { return samples(r, 4, true, false); },
});

const OpDef& kGru = register_op({
    .name = "gru",
    .summary = "a gated recurrent unit over the positions that exist, and its last state",
    .inputs = {input("gates", {"gates", "w_h", "b_h", "h"}),
               input("w_h", {"gates", "w_h", "b_h", "h"}),
               input("b_h", {"gates", "w_h", "b_h", "h"}),
               optional(input("h", {"gates", "w_h", "b_h", "h"})),
               optional(integer_input("segments"))},
    .args = kArgs,
    .outputs = {"output", "last_h"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      GruOutput made = gru(call.input("gates"), call.input("w_h"), call.input("b_h"),
                           optional_input(call, "h"), options_of(call));
      return {made.output, made.last};
    },
    .samples = [](Random& r) { return samples(r, 3, false, true); },
});

Tensor value_of(const Variable* x) { return x && x->defined() ? x->value() : Tensor(); }

// The inputs that a cell records: gates, w_h, b_h where it has one, the states where they are
// given.
PoolVector<const Variable*> recorded(const RecurrentInputs& in) {
  PoolVector<const Variable*> all = {&in.gates, &in.w};
  if (in.bias) all.push_back(in.bias);
  for (const Variable* state : in.start) {
    if (state && state->defined()) all.push_back(state);
  }
  return all;
}

// The gradients of a cell's inputs, from what it kept.
template <class Cell>
class RecurrentRule {
 public:
  RecurrentRule(const OpDef& op, Ref<ScanPlan> plan, ScanResult result, const RecurrentInputs& in)
      : plan_(std::move(plan)),
        result_(std::move(result)),
        w_(op, "w_h", in.w.value()),
        has_bias_(in.bias != nullptr),
        has_start_(in.has_start()) {
    result_.output = Tensor();
    result_.last = {};
  }

  void operator()(std::span<Tensor> arrived, Gradients& grads) const {
    ScanGradients gradients;
    const auto wanted = [&](std::size_t i) { return grads.needed(i) ? grads.buffer(i) : Tensor(); };
    gradients.gates = wanted(0);
    gradients.w = wanted(1);
    if (has_bias_) gradients.bias = wanted(2);
    set_start(grads, gradients.start);
    ScanArrived all = {arrived[0], {}};
    for (std::size_t s = 0; s < Cell::kStates; ++s) all.last[s] = arrived[1 + s];
    scan_back<Cell>(*plan_, result_, *w_, all, gradients);
  }

  Tensor reached(std::size_t number, const Tensor& marked, const Way& way) const {
    const RecurrentInput kind = number == 0              ? RecurrentInput::kGates
                                : number < first_state() ? RecurrentInput::kParameter
                                                         : RecurrentInput::kState;
    return recurrent_reached(*plan_, kind, marked, way);
  }

 private:
  std::size_t first_state() const { return has_bias_ ? 3 : 2; }

  // All of them where one is needed.
  void set_start(Gradients& grads, ScanStates& start) const {
    bool is_needed = false;
    for (std::size_t s = 0; has_start_ && s < Cell::kStates; ++s) {
      is_needed = is_needed || grads.needed(first_state() + s);
    }
    for (std::size_t s = 0; is_needed && s < Cell::kStates; ++s) {
      const std::size_t i = first_state() + s;
      const Shape shape = {plan_->sequences(), w_.shape()[0]};
      start[s] =
          grads.needed(i) ? grads.buffer(i) : Tensor::empty(shape, w_->dtype(), w_->device());
    }
  }

  Ref<ScanPlan> plan_;
  ScanResult result_;
  Saved w_;
  bool has_bias_, has_start_;
};

// The output and the last states.
template <class Cell>
std::array<Variable, 1 + Cell::kStates> run(const OpDef& op, const RecurrentInputs& in,
                                            const RecurrentOptions& options) {
  check_recurrent(op, Cell::kGates, in, options);
  check_product_math(op.name.c_str(), in.gates.dtype(), in.gates.device());
  Ref<ScanPlan> plan = plan_of(in, options);
  const ScanInputs inputs = {in.gates.value(),
                             in.w.value(),
                             value_of(in.bias),
                             {value_of(in.start[0]), value_of(in.start[1])}};
  ScanResult result = scan<Cell>(*plan, inputs, Tape::current() != nullptr);
  std::array<OpOutput, 1 + Cell::kStates> made;
  made[0] = {result.output, in.gates.mask()};
  for (std::size_t s = 0; s < Cell::kStates; ++s) made[1 + s] = {result.last[s]};
  std::array<Variable, 1 + Cell::kStates> results;
  record(op, recorded(in), made, results,
         RecurrentRule<Cell>(op, std::move(plan), std::move(result), in),
         {{"segments", options.segments},
          {"reverse", options.reverse},
          {"sequences", options.sequences}});
  return results;
}

}  // namespace

LstmOutput lstm(const Variable& gates, const Variable& w_h, const LstmState& start,
                const RecurrentOptions& options) {
  check_defined(kLstm, {&gates, &w_h});
  auto made = run<LstmCell>(kLstm, {gates, w_h, nullptr, {&start.h, &start.c}}, options);
  return {std::move(made[0]), {std::move(made[1]), std::move(made[2])}};
}

GruOutput gru(const Variable& gates, const Variable& w_h, const Variable& b_h,
              const Variable& start, const RecurrentOptions& options) {
  check_defined(kGru, {&gates, &w_h, &b_h});
  auto made = run<GruCell>(kGru, {gates, w_h, &b_h, {&start, nullptr}}, options);
  return {std::move(made[0]), std::move(made[1])};
}

}  // namespace maskgrad::ops
