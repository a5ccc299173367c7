// Any operation on any inputs, with and without gradients: what does not fit is an Error of one
// line, and nothing else happens.
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/prove.hpp>

#include "choices.hpp"

namespace maskgrad::fuzz {
namespace {

constexpr std::int64_t kMostElements = 1 << 12;  // of an input: larger ones only take longer

constexpr std::int64_t kIntegers[] = {0,
                                      1,
                                      -1,
                                      2,
                                      3,
                                      -2,
                                      5,
                                      17,
                                      255,
                                      std::int64_t{1} << 31,
                                      (std::int64_t{1} << 31) - 1,
                                      -(std::int64_t{1} << 31),
                                      (std::int64_t{1} << 53) + 1,
                                      std::int64_t{1} << 62,
                                      std::numeric_limits<std::int64_t>::max(),
                                      std::numeric_limits<std::int64_t>::max() - 1,
                                      std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::min() + 1};
constexpr double kReals[] = {0.0,
                             1.0,
                             -1.0,
                             0.5,
                             -0.0,
                             2.0,
                             1e-5,
                             1e30,
                             -1e30,
                             1e39,
                             1e300,
                             5e-324,
                             1e-40,
                             -1e-40,
                             std::numeric_limits<double>::max(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()};
constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64,
                             DType::kBool};

std::int64_t integer(Choices& choices) {
  if (choices.chance(160)) return static_cast<std::int64_t>(choices.below(7)) - 1;
  return choices.chance(200) ? choices.one_of(kIntegers) : choices.raw<std::int64_t>();
}

double real(Choices& choices) {
  if (choices.chance(120)) return (static_cast<double>(choices.byte()) - 128) / 32;
  return choices.chance(220) ? choices.one_of(kReals) : choices.raw<double>();
}

// Sizes that inputs of one call share, so that they often fit each other.
struct Sizes {
  explicit Sizes(Choices& choices) {
    constexpr std::int64_t kSmall[] = {2, 3, 1, 0, 4, 5, 7, 16, 17, 33, 64, 65, 130};
    for (std::int64_t& size : shared) size = choices.one_of(kSmall);
  }
  std::int64_t next(Choices& choices) {
    if (choices.chance(200)) return shared[choices.below(4)];
    return choices.chance(240) ? static_cast<std::int64_t>(choices.below(4)) : integer(choices);
  }

  std::int64_t shared[4];
};

// A shape, or one that is refused.
Shape draw_shape(Choices& choices, Sizes& sizes) {
  std::vector<std::int64_t> dims(choices.chance(8) ? choices.below(10) : choices.below(5));
  for (std::int64_t& dim : dims) dim = sizes.next(choices);
  Shape shape(dims);
  check(shape.numel() <= kMostElements, "fuzz", "too many elements");
  return shape;
}

void draw_values(Choices& choices, Tensor& x) {
  dispatch_dtype(AllTypes{}, x.dtype(), "fuzz", [&]<class T>(T) {
    // A few numbers, again and again.
    T values[16];
    for (T& value : values) {
      if constexpr (std::is_same_v<T, bool>) {
        value = choices.chance(150);
      } else if constexpr (std::is_integral_v<T>) {
        value = static_cast<T>(integer(choices));
      } else {
        value = static_cast<T>(real(choices));
      }
    }
    const std::size_t step = 1 + choices.below(16);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      x.data<T>()[i] = values[static_cast<std::size_t>(i) * step % 17 % 16];
    }
  });
}

Tensor draw_tensor(Choices& choices, Sizes& sizes, DTypes wanted, DType floating) {
  DType dtype = choices.chance(230) ? floating : choices.one_of(kDTypes);
  if (!contains(wanted, dtype) && choices.chance(250)) {
    dtype = wanted == DTypes::kBool      ? DType::kBool
            : wanted == DTypes::kInteger ? DType::kInt64
                                         : floating;
  }
  Tensor x = Tensor::empty(draw_shape(choices, sizes), dtype);
  draw_values(choices, x);
  return x;
}

Variable draw_input(Choices& choices, const InputSpec& spec, const Tensor& value) {
  SequenceMask mask;
  if (value.rank() >= 2 && choices.chance(60)) {
    Tensor bits = Tensor::empty(value.shape().slice(0, 2), DType::kBool);
    draw_values(choices, bits);
    mask = SequenceMask(bits);
  }
  const bool leaf = spec.differentiable && is_floating(value.dtype()) && choices.chance(200);
  return Variable(value, leaf ? Variable::kRequiresGrad : Variable::kConstant, mask);
}

std::vector<std::string> input_names(Choices& choices, const OpDef& op) {
  std::vector<std::string> names;
  for (const InputSpec& spec : op.inputs) {
    const std::size_t count = spec.repeated ? choices.below(4) : choices.chance(8) ? 0 : 1;
    for (std::size_t i = 0; i < count; ++i) {
      if (spec.optional && choices.chance(128)) continue;
      names.push_back(spec.repeated ? spec.name + std::to_string(i) : spec.name);
    }
  }
  return names;
}

ArgValue draw_arg(Choices& choices, const ArgValue& fallback) {
  const std::size_t kind = choices.chance(6) ? choices.below(6) : fallback.index();
  if (kind == 0) return choices.chance(128);
  if (kind == 1) return integer(choices);
  if (kind == 2) return real(choices);
  if (kind == 3) {
    const std::string modes[] = {"sequence",  "window",    "upper", "lower",
                                 "upperdiag", "lowerdiag", "none",  ""};
    return choices.one_of(modes);
  }
  if (kind == 5) return choices.chance(128) ? Scalar(integer(choices)) : Scalar(real(choices));
  std::vector<std::int64_t> list(choices.below(6));
  for (std::int64_t& element : list) element = integer(choices);
  return list;
}

// All made up, or a sample of the operation in which a few things are others.
OpCall draw_call(Choices& choices, const OpDef& op) {
  Sizes sizes(choices);
  const DType floating = choices.chance(128) ? DType::kFloat32 : DType::kFloat64;
  OpCall call;
  if (choices.chance(150)) {
    for (const std::string& name : input_names(choices, op)) {
      const InputSpec& spec = *op.find_input(name);
      call.inputs[name] =
          draw_input(choices, spec, draw_tensor(choices, sizes, spec.dtypes, floating));
    }
  } else {
    Random random(choices.byte());
    const std::vector<OpSample> samples = op.samples(random);
    const OpSample& sample = samples[choices.below(samples.size())];
    call.args = sample.args;
    for (const auto& [name, tensor] : sample.inputs) {
      const InputSpec& spec = *op.find_input(name);
      Tensor value = is_floating(tensor.dtype()) ? tensor.to(floating) : tensor.clone();
      if (choices.chance(60)) draw_values(choices, value);
      if (choices.chance(30)) value = draw_tensor(choices, sizes, spec.dtypes, floating);
      call.inputs[name] = draw_input(choices, spec, value);
    }
  }
  for (const ArgSpec& arg : op.args) {
    if (choices.chance(90)) call.args[arg.name] = draw_arg(choices, arg.fallback);
  }
  return call;
}

void run_backward(Choices& choices, Tape& tape, const Variable& y) {
  if (!y.requires_grad()) return;
  Tensor g = Tensor::empty(y.shape(), y.dtype());
  draw_values(choices, g);
  tape.backward(y, g);
}

// What an operation says of its reach is read too.
void run_traced(const OpDef& op, const OpCall& call) {
  Tape tape({.trace = true});
  run_op(op, call);
  prove_mask(tape);
}

void run(Choices& choices) {
  auto at = registry().begin();
  std::advance(at, static_cast<std::ptrdiff_t>(choices.below(registry().size())));
  const OpDef& op = at->second;
  const OpCall call = draw_call(choices, op);
  const std::size_t way = choices.below(4);
  if (way == 0) {
    run_op(op, call);
  } else if (way == 1) {
    run_traced(op, call);
  } else {
    Tape tape;
    const std::vector<Variable> outputs = run_op(op, call);
    run_backward(choices, tape, outputs.front());
  }
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  maskgrad::fuzz::Choices choices(data, size);
  try {
    maskgrad::fuzz::run(choices);
  } catch (const maskgrad::Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}

// More memory than this is refused, as a system does that has no more.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=256";
}
