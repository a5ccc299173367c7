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
      of_layer_(options.bidirectional ? 2 : 1) {
  const RecurrentSizes sizes = {features, hidden, options.layers, of_layer_};
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
  check_recurrent_call("Lstm", x, features_, pass, start.size(), directions_.size());
  const auto run = [&](std::size_t i, const Variable& input) {
    const auto& [w_x, w_h, b] = directions_[i];
    ops::LstmOutput made =
        ops::lstm(ops::linear(input, *w_x, *b), *w_h, start.empty() ? ops::LstmState() : start[i],
                  recurrent_options(i % of_layer_ == 1, pass));
    last.push_back(std::move(made.last));
    return made.output;
  };
  return through_layers(x, directions_.size(), of_layer_, run);
}

std::optional<ops::Work> Lstm::row_work() const {
  ops::Work work;
  for (const Direction& d : directions_) {
    work.per_position += 3 * (d.w_x->shape().numel() + d.w_h->shape().numel());
  }
  return work;
}

}  // namespace maskgrad
