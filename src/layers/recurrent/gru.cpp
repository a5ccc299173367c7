#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/recurrent_stack.hpp>
#include <maskgrad/ops/math/linear.hpp>

namespace maskgrad {

Gru::Gru(std::int64_t features, std::int64_t hidden, const GruOptions& options)
    : Layer("Gru", MaskRule::kUses),
      features_(features),
      per_layer_(options.bidirectional ? 2 : 1) {
  const RecurrentSizes sizes = {features, hidden, options.layers, per_layer_};
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
  const RecurrentCall call = {"Gru", features_, per_layer_, pass};
  return through_layers(call, x, std::span<const Direction>(directions_), start, last,
                        [](const Direction& d, const Variable& input, const Variable& first,
                           const ops::RecurrentOptions& options) {
                          const auto& [w_x, w_h, b_x, b_h] = d;
                          return ops::gru(ops::linear(input, *w_x, *b_x), *w_h, *b_h, first,
                                          options);
                        });
}

std::optional<ops::Work> Gru::row_work() const { return recurrent_work<Direction>(directions_); }

}  // namespace maskgrad
