#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/checked.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kAlignedElements = 16;

std::int64_t align_up(std::int64_t n) {
  return (n + kAlignedElements - 1) / kAlignedElements * kAlignedElements;
}

// See zeros_beside(). Large blocks all start at the same place within a page, and an Adam step
// over 49,152 floats then takes 17 us instead of 14 (AMD EPYC Genoa).
Tensor stream_of_zeros(int stream, std::int64_t size, DType dtype, Device device) {
  constexpr std::int64_t kApart = 256, kStreams = 16;  // bytes: 16 of them share a page
  const std::int64_t gap = stream % kStreams * kApart / static_cast<std::int64_t>(size_of(dtype));
  return Tensor::zeros({gap + size}, dtype, device).view(gap, {size});
}

Tensor initial_value(const std::string& name, const Parameter& parameter, std::uint64_t seed) {
  Tensor value = Tensor::empty(parameter.shape(), DType::kFloat64);
  Random random(seed, stream_of(name));
  parameter.initializer()(value, random);
  return value;
}

}  // namespace

ParameterBuffer::ParameterBuffer(Module& model, DType dtype, std::uint64_t seed, Device device) {
  check(is_floating(dtype), "parameters", "must be float32 or float64, not {}", to_string(dtype));
  std::int64_t size = 0;
  for (const NamedParameter& named : model.parameters()) {
    entries_.push_back({named.name, named.parameter, size});
    size =
        checked_add("parameters", "the elements", size, align_up(named.parameter->shape().numel()));
    count_ += named.parameter->shape().numel();
  }
  values_ = stream_of_zeros(0, size, dtype, device);
  gradients_ = stream_of_zeros(1, size, dtype, device);
  for (const Entry& entry : entries_) {
    const Shape& shape = entry.parameter->shape();
    Tensor value = values_.view(entry.first, shape);
    value.copy_from(initial_value(entry.name, *entry.parameter, seed).to(dtype));
    Variable variable(value, Variable::kRequiresGrad);
    variable.bind(value, gradients_.view(entry.first, shape));
    entry.parameter->set_variable(std::move(variable));
  }
}

void ParameterBuffer::complete_gradients() {
  for (const Entry& entry : entries_) {
    GradSlot& slot = *entry.parameter->variable().slot();
    if (!slot.has_grad) slot.clear_buffer();
  }
}

Tensor ParameterBuffer::gradients() {
  complete_gradients();
  for (const Entry& entry : entries_) entry.parameter->variable().slot()->dirty_rows.reset();
  return gradients_;
}

Tensor ParameterBuffer::zeros_beside(int stream) const {
  return stream_of_zeros(stream + 2, values_.numel(), dtype(), values_.device());
}

// Unlike Variable::clear_grad() this keeps what is known of rows that hold 0: the buffer is ours,
// and whoever was given it to write made the parameters forget that.
void ParameterBuffer::clear_gradients() {
  for (const Entry& entry : entries_) entry.parameter->variable().slot()->has_grad = false;
}

std::map<std::string, Tensor> ParameterBuffer::named_values() const {
  std::map<std::string, Tensor> named;
  for (const Entry& entry : entries_) {
    named.emplace(entry.name, values_.view(entry.first, entry.parameter->shape()));
  }
  return named;
}

std::vector<NamedLeaf> ParameterBuffer::leaves() const {
  std::vector<NamedLeaf> leaves;
  for (const Entry& entry : entries_) leaves.push_back({entry.name, entry.parameter->variable()});
  return leaves;
}

void ParameterBuffer::load(const std::map<std::string, Tensor>& values) {
  std::string problems;
  const auto add = [&](const std::string& problem) {
    problems += (problems.empty() ? "" : "; ") + problem;
  };
  for (const Entry& entry : entries_) {
    const auto found = values.find(entry.name);
    if (found == values.end()) {
      add(fmt::format("{} {} is missing", entry.name, entry.parameter->shape()));
    } else if (!found->second.defined()) {
      add(fmt::format("{} was used before it was given a value", entry.name));
    } else if (found->second.shape() != entry.parameter->shape()) {
      add(fmt::format("{} is {}, the model's is {}", entry.name, found->second.shape(),
                      entry.parameter->shape()));
    } else if (!is_floating(found->second.dtype())) {
      add(fmt::format("{} holds {}, not float32 or float64", entry.name,
                      to_string(found->second.dtype())));
    }
  }
  const auto own = named_values();
  for (const auto& [name, value] : values) {
    if (!own.contains(name)) add(fmt::format("{} {} is unknown to the model", name, value.shape()));
  }
  check(problems.empty(), "weights", "{}", problems);
  for (const auto& [name, view] : own) {
    Tensor target = view;
    target.copy_from(values.at(name).to(dtype()));
  }
}

}  // namespace maskgrad
