#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/recurrent_stack.hpp>
#include <maskgrad/ops/math/linear.hpp>

namespace maskgrad {

Gru::Gru(std::int64_t features, std::int64_t hidden, const GruOptions& options)
    : Layer("Gru", MaskRule::kUses), features_(features), of_layer_(options.bidirectional ? 2 : 1) {
  const RecurrentSizes sizes = {features, hidden, options.layers, of_layer_};
  sizes.check_all("Gru");
  const Initializer start = recurrent_start(hidden);
  sizes.for_each_direction([&](std::int64_t inputs, auto name) {
    Parameter& w_x = parameter(name("w_x"), {inputs, 3 * hidden}, start);
    Parameter& w_h = parameter(name("w_h"), {hidden, 3 * hidden}, start);
    Parameter& b_x = parameter(name("b_x"), {3 * hidden}, start);
    Parameter& b_h = parameter(name("b_h"), {3 * hidden}, start);
    directions_.push_back({&w_x, &w_h, &b_x, &b_h});
  });
}

Gru::Result Gru::run(const Variable& x, std::span<const Variable> start, Pass& pass) const {
  Result result;
  result.output = checked(x, pass, [&] { return through(x, start, pass, result.last); });
  return result;
}

Variable Gru::forward(const Variable& x, Pass& pass) {
  PoolVector<Variable> last;
  return through(x, {}, pass, last);
}

Variable Gru::through(const Variable& x, std::span<const Variable> start, const Pass& pass,
                      PoolVector<Variable>& last) const {
  check_recurrent_call("Gru", x, features_, pass, start.size(), directions_.size());
  const auto run = [&](std::size_t i, const Variable& input) {
    const auto& [w_x, w_h, b_x, b_h] = directions_[i];
    ops::GruOutput made =
        ops::gru(ops::linear(input, *w_x, *b_x), *w_h, *b_h, start.empty() ? Variable() : start[i],
                 recurrent_options(i % of_layer_ == 1, pass));
    last.push_back(std::move(made.last));
    return made.output;
  };
  return through_layers(x, directions_.size(), of_layer_, run);
}

std::optional<ops::Work> Gru::row_work() const {
  ops::Work work;
  for (const Direction& d : directions_) {
    work.per_position += 3 * (d.w_x->shape().numel() + d.w_h->shape().numel());
  }
  return work;
}

}  // namespace maskgrad
