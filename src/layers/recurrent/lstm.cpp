#include <cmath>

#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/layers/recurrent/recurrent_stack.hpp>
#include <maskgrad/ops/math/linear.hpp>

namespace maskgrad {
namespace {

// As all parameters, and the forget gates, the second of four parts, that much further open.
Initializer start_of_bias(std::int64_t hidden, double forget_bias) {
  return [=, start = recurrent_start(hidden)](Tensor& values, Random& random) {
    start(values, random);
    double* const b = values.data<double>();
    for (std::int64_t i = hidden; i < 2 * hidden; ++i) b[i] += forget_bias;
  };
}

}  // namespace

Lstm::Lstm(std::int64_t features, std::int64_t hidden, const LstmOptions& options)
    : Layer("Lstm", MaskRule::kUses),
      features_(features),
      per_layer_(options.bidirectional ? 2 : 1) {
  const RecurrentSizes sizes = {features, hidden, options.layers, per_layer_};
  sizes.check_all("Lstm");
  check(std::isfinite(options.forget_bias), "Lstm", "needs a finite forget_bias, got {}",
        options.forget_bias);
  const Initializer start = recurrent_start(hidden);
  sizes.for_each_direction([&](std::int64_t inputs, auto name) {
    Parameter& w_x = parameter(name("w_x"), {inputs, 4 * hidden}, start);
    Parameter& w_h = parameter(name("w_h"), {hidden, 4 * hidden}, start);
    Parameter& b = parameter(name("b"), {4 * hidden}, start_of_bias(hidden, options.forget_bias));
    directions_.push_back({&w_x, &w_h, &b});
  });
}

Lstm::Result Lstm::run(const Variable& x, std::span<const ops::LstmState> start, Pass& pass) const {
  Result result;
  result.output = checked(x, pass, [&] { return through(x, start, pass, result.last); });
  return result;
}

Variable Lstm::forward(const Variable& x, Pass& pass) {
  PoolVector<ops::LstmState> last;
  return through(x, {}, pass, last);
}

Variable Lstm::through(const Variable& x, std::span<const ops::LstmState> start, const Pass& pass,
                       PoolVector<ops::LstmState>& last) const {
  const RecurrentCall call = {"Lstm", features_, per_layer_, pass};
  return through_layers(call, x, std::span<const Direction>(directions_), start, last,
                        [](const Direction& d, const Variable& input, const ops::LstmState& first,
                           const ops::RecurrentOptions& options) {
                          const auto& [w_x, w_h, b] = d;
                          return ops::lstm(ops::linear(input, *w_x, *b), *w_h, first, options);
                        });
}

std::optional<ops::Work> Lstm::row_work() const { return recurrent_work<Direction>(directions_); }

}  // namespace maskgrad
