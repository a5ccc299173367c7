#include <algorithm>
#include <cmath>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/checked.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kAlignedElements = 16;

std::int64_t align_up(std::int64_t n) {
  return (n + kAlignedElements - 1) / kAlignedElements * kAlignedElements;
}

// See zeros_beside(). Large blocks all start at the same place within a page, where the streams of
// an Adam step are in each other's way.
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

void check_groups(std::span<const ParameterGroup> groups) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const ParameterGroup& group = groups[i];
    for (std::size_t j = 0; j < i; ++j) {
      check(groups[j].name != group.name, "parameters", "two groups are called '{}'", group.name);
    }
    check(group.owns != nullptr, "parameters", "group '{}' does not say what it owns", group.name);
    for (const auto& [what, value] :
         {std::pair("lr_factor", group.lr_factor), {"weight_decay", group.weight_decay}}) {
      check(value >= 0 && std::isfinite(value), "parameters",
            "group '{}': {} must be finite and at least 0, not {}", group.name, what, value);
    }
  }
}

// The first of the groups that owns the parameter.
std::size_t owner_of(const NamedParameter& named, std::span<const ParameterGroup> groups) {
  const auto owner = std::find_if(groups.begin(), groups.end(), [&](const ParameterGroup& group) {
    return group.owns(named.name, named.parameter->shape());
  });
  check(owner != groups.end(), "parameters", "no group owns '{}' {}", named.name,
        named.parameter->shape());
  return static_cast<std::size_t>(owner - groups.begin());
}

}  // namespace

ParameterBuffer::ParameterBuffer(Module& model, DType dtype, std::uint64_t seed, Device device,
                                 std::vector<ParameterGroup> groups) {
  check(is_floating(dtype), "parameters", "must be float32 or float64, not {}", to_string(dtype));
  check_groups(groups);
  if (groups.empty()) groups.push_back({.name = "all", .owns = is_any});
  add_entries(model, std::move(groups));
  values_ = stream_of_zeros(0, size_, dtype, device);
  gradients_ = stream_of_zeros(1, size_, dtype, device);
  // Drawn on the host, and uploaded at once.
  Tensor start = device == Device{} ? values_ : Tensor::zeros({size_}, dtype);
  for (Entry& entry : entries_) {
    start.view(entry.first, entry.parameter->shape())
        .copy_from(initial_value(entry.name, *entry.parameter, seed).to(dtype));
    make_leaf(entry, groups_[entry.group].group.frozen);
  }
  values_.copy_from(start);
}

void ParameterBuffer::add_entries(Module& model, std::vector<ParameterGroup> groups) {
  const std::vector<NamedParameter> all = model.parameters();
  std::vector<std::size_t> owners;
  for (const NamedParameter& named : all) owners.push_back(owner_of(named, groups));
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const std::int64_t first = size_;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (owners[i] != group) continue;
      const std::int64_t numel = all[i].parameter->shape().numel();
      entries_.push_back({all[i].name, all[i].parameter, size_, group, {}});
      size_ = checked_add("parameters", "the elements", size_, align_up(numel));
      count_ += numel;
    }
    groups_.push_back({std::move(groups[group]), first, size_});
  }
}

void ParameterBuffer::make_leaf(Entry& entry, bool frozen) {
  const Shape& shape = entry.parameter->shape();
  const Tensor value = values_.view(entry.first, shape);
  Variable variable(value, frozen ? Variable::kConstant : Variable::kRequiresGrad);
  if (!frozen) entry.gradient = variable.bind(value, gradients_.view(entry.first, shape));
  entry.parameter->set_variable(std::move(variable));
}

void ParameterBuffer::complete_gradients() {
  for (const Entry& entry : entries_) {
    if (entry.gradient) entry.gradient->complete();
  }
}

Tensor ParameterBuffer::gradients() {
  complete_gradients();
  for (const Entry& entry : entries_) {
    if (entry.gradient) entry.gradient->forget_rows();
  }
  return gradients_;
}

void ParameterBuffer::set_gradients(const Tensor& sum, double factor) {
  check(sum.shape() == gradients_.shape() && sum.dtype() == dtype(), "parameters",
        "gradients of {} {} do not fit {} {}", to_string(sum.dtype()), sum.shape(),
        to_string(dtype()), gradients_.shape());
  check(sum.device() == gradients_.device(), "parameters",
        "gradients on {} do not fit parameters on {}", to_string(sum.device().type),
        to_string(gradients_.device().type));
  scale_into(gradients_, sum, factor);
  for (const Entry& entry : entries_) {
    if (entry.gradient) entry.gradient->set_arrived();
  }
}

Tensor ParameterBuffer::zeros_beside(int stream) const {
  return stream_of_zeros(stream + 2, values_.numel(), dtype(), values_.device());
}

// Unlike Variable::clear_grad() this keeps what is known of rows that hold 0: the buffer is ours,
// and whoever was given it to write made the parameters forget that.
bool ParameterBuffer::has_gradients(const GroupSpan& group) const {
  return std::ranges::any_of(entries_, [&](const Entry& entry) {
    return entry.first >= group.first && entry.first < group.end && entry.gradient &&
           entry.gradient->has_arrived();
  });
}

void ParameterBuffer::clear_gradients() {
  for (const Entry& entry : entries_) {
    if (entry.gradient) entry.gradient->clear();
  }
}

std::map<std::string, Tensor> ParameterBuffer::named_pieces(const Tensor& flat) const {
  check(flat.shape() == values_.shape(), "parameters", "{} is not laid out as the values {}",
        flat.shape(), values_.shape());
  std::map<std::string, Tensor> named;
  for (const Entry& entry : entries_) {
    named.emplace(entry.name, flat.view(entry.first, entry.parameter->shape()));
  }
  return named;
}

std::vector<NamedLeaf> ParameterBuffer::leaves() const {
  std::vector<NamedLeaf> leaves;
  for (const Entry& entry : entries_) {
    const Variable& variable = entry.parameter->variable();
    if (variable.requires_grad()) leaves.push_back({entry.name, variable});
  }
  return leaves;
}

void ParameterBuffer::load(const std::map<std::string, Tensor>& values) {
  constexpr std::int64_t kShown = 3;
  std::string problems;
  std::int64_t count = 0;
  const auto add = [&](const std::string& problem) {
    if (count++ < kShown) problems += (problems.empty() ? "" : "; ") + problem;
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
  if (count > kShown) problems += fmt::format("; and {} more", count - kShown);
  check(count == 0, "weights", "{}", problems);
  for (const auto& [name, view] : own) {
    Tensor target = view;
    target.copy_from(values.at(name).to(dtype()));
  }
}

}  // namespace maskgrad
