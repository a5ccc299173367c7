#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/tensor/scope.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad {

Variable Sequential::operator()(const Variable& x) {
  const Scope scope(name());
  return forward(x);
}

Layer& Sequential::layer(const std::string& name) const {
  for (const Part& part : layers_) {
    if (part.name == name) return *part.layer;
  }
  fail("Sequential", "has no layer '{}'", name);
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const Part& part : layers_) y = (*part.layer)(y);
  return y;
}

std::vector<LayerSummary> Sequential::summarize(const Variable& x) {
  const NoGrad no_grad;
  std::vector<LayerSummary> rows;
  Variable y = x;
  for (const Part& part : layers_) {
    y = (*part.layer)(y);
    std::int64_t count = 0;
    for (const NamedParameter& named : part.layer->parameters()) {
      count += named.parameter->shape().numel();
    }
    rows.push_back({part.name, part.layer->kind(), y.shape(), count, part.layer->mask_rule()});
  }
  return rows;
}

}  // namespace maskgrad
