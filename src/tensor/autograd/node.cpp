#include <algorithm>

#include <maskgrad/tensor/autograd/node.hpp>

namespace maskgrad {

// A leaf that is an input twice gets its two gradients added, so neither may claim its buffer.
bool Gradients::is_alone(std::size_t input) const {
  return std::count(inputs_.begin(), inputs_.end(), inputs_[input]) == 1;
}

Tensor Gradients::buffer(std::size_t input) {
  return values_[input] = inputs_[input]->claim(is_alone(input));
}

Tensor Gradients::zeros(std::size_t input, PoolVector<std::int64_t> rows) {
  return values_[input] = inputs_[input]->claim_rows(is_alone(input), std::move(rows));
}

Tensor Node::described_reach(std::size_t input, const Tensor& marked, const Way& way) const {
  const InputSpec& spec = op_.recorded(input);
  check(spec.reach != Reach::kByCall, op_.name.c_str(),
        "input '{}': its reach depends on the call, and the rule does not tell it", spec.name);
  return spread(spec.reach, marked, way);
}

}  // namespace maskgrad
