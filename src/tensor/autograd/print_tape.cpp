// Tape::to_string().
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {
namespace {

std::string kind(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", to_string(dtype), shape);
}

std::string text_of(const ArgValue& value) {
  return std::visit(
      []<class T>(const T& x) -> std::string {
        if constexpr (std::is_same_v<T, std::string>)
          return fmt::format("'{}'", x);
        else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>)
          return fmt::format("[{}]", fmt::join(x, ", "));
        else
          return fmt::format("{}", x);
      },
      value);
}

// Gives every value a name as it comes up.
class Printer {
 public:
  explicit Printer(std::span<const NamedLeaf> leaves) {
    for (const auto& [name, leaf] : leaves) {
      if (leaf.defined() && leaf.requires_grad()) names_.emplace(leaf.gradient(), name);
    }
  }

  std::string line(const Node& node, const std::string& layer) {
    std::vector<std::string> outputs, kinds;
    const std::vector<std::string> inputs = node.call() ? of_call(*node.call()) : of_node(node);
    for (const Ref<Gradient>& output : node.outputs()) {
      outputs.push_back(fmt::format("${}", ++count_));
      names_.insert_or_assign(output.get(), outputs.back());
      kinds.push_back(kind(output->dtype(), output->shape()) +
                      (output->mask().defined() ? " masked" : ""));
    }
    return fmt::format("{} = {}({}) -> {}{}\n", fmt::join(outputs, ", "), node.op().name,
                       fmt::join(inputs, ", "), fmt::join(kinds, ", "),
                       layer.empty() ? "" : " in '" + layer + "'");
  }

 private:
  std::vector<std::string> of_call(const OpCall& call) const {
    std::vector<std::string> texts;
    for (const auto& [name, x] : call.inputs) {
      texts.push_back(fmt::format("{}: {}", name, name_of(x.gradient(), x.dtype(), x.shape())));
    }
    for (const auto& [name, x] : call.args) {
      texts.push_back(fmt::format("{}: {}", name, text_of(x)));
    }
    return texts;
  }

  std::vector<std::string> of_node(const Node& node) const {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Gradient* input = node.inputs()[i].get();
      texts.push_back(fmt::format(
          "{}: {}", node.op().recorded_name(i),
          input ? name_of(input, input->dtype(), input->shape()) : std::string("constant")));
    }
    return texts;
  }

  std::string name_of(const Gradient* value, DType dtype, const Shape& shape) const {
    const auto found = names_.find(value);
    return found != names_.end() ? found->second : kind(dtype, shape);
  }

  std::map<const Gradient*, std::string> names_;
  int count_ = 0;
};

}  // namespace

std::string Tape::to_string(std::span<const NamedLeaf> leaves) const {
  Printer printer(leaves);
  std::string text;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    text += printer.line(*nodes_[n], n < scopes_.size() ? scopes_[n] : "");
  }
  return text;
}

}  // namespace maskgrad
