// Faulty versions of keep_where, masked_softmax and masked_log_softmax.
#include <cmath>

#include "ops/mutants/mutant_families.hpp"

namespace maskgrad::test {
namespace {

// y_i = f(x_i, keep_i, i)
template <class F>
Tensor by_element(const OpCall& call, F f) {
  const Variable& x = call.input("input");
  const Values in = to_doubles(x.value()), keep = bits_of(call, x.shape());
  Values out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = f(in[i], keep[i], i);
  return like(x, out);
}

// Calls f(row of x, row of keep, row of the output) for the rows of the last dimension.
template <class F>
Tensor by_row(const OpCall& call, F f) {
  const Variable& x = call.input("input");
  const Values in = to_doubles(x.value()), keep = bits_of(call, x.shape());
  Values out(in.size());
  const auto n = static_cast<std::size_t>(x.dim(-1));
  for (std::size_t at = 0; at < in.size(); at += n) f(&in[at], &keep[at], &out[at], n);
  return like(x, out);
}

// Softmax of scores, whatever they are.
void softmax(const double* scores, double* y, std::size_t n) {
  double top = -HUGE_VAL, sum = 0;
  for (std::size_t j = 0; j < n; ++j) top = std::max(top, scores[j]);
  for (std::size_t j = 0; j < n; ++j) sum += y[j] = std::exp(scores[j] - top);
  for (std::size_t j = 0; j < n; ++j) y[j] /= sum;
}

Gradient elementwise_gradient(const OpCall& call, const Tensor& g,
                              double (*f)(double g, double keep)) {
  const Values grad = to_doubles(g), keep = bits_of(call, g.shape());
  Values out(grad.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = f(grad[i], keep[i]);
  return {{"input", make(out, g.shape(), g.dtype())}};
}

}  // namespace

std::vector<Mutant> mutants_of_keep_where() {
  const std::string op = "keep_where";
  const auto fill = [](const OpCall& call) {
    return call.arg<Scalar>("fill").to<double>("keep_where", "fill");
  };
  return {
      {"MultipliesInsteadOfSelecting", op,
       [=](const OpCall& call) {
         return by_element(call, [&](double x, double keep, std::size_t) {
           return x * keep + fill(call) * (1 - keep);
         });
       }},
      {"ShiftsItsMaskByOne", op,
       [=](const OpCall& call) {
         const Values keep = bits_of(call, call.input("input").shape());
         return by_element(call, [&](double x, double, std::size_t i) {
           return keep[(i + 1) % keep.size()] != 0 ? x : fill(call);
         });
       }},
      {"TakesTheOtherPolarity", op,
       [=](const OpCall& call) {
         return by_element(
             call, [&](double x, double keep, std::size_t) { return keep == 0 ? x : fill(call); });
       }},
      {"AddsALargeNumberToWhatItFills", op,
       [=](const OpCall& call) {
         return by_element(
             call, [](double x, double keep, std::size_t) { return keep != 0 ? x : x - 1e9; });
       }},
      {"MultipliesItsGradient",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g, [](double d, double keep) { return d * keep; });
       }},
      {"ForgetsTheMaskOnTheWayBack",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g, [](double d, double) { return d; });
       }},
      {"SendsBackWhereItFilled",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g,
                                     [](double d, double keep) { return keep == 0 ? d : 0; });
       }},
  };
}

std::vector<Mutant> mutants_of_masked_softmax() {
  const std::string op = "masked_softmax";
  return {
      {"AddsMinusABillionToMaskedScores", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           Values scores(n);
           for (std::size_t j = 0; j < n; ++j) scores[j] = x[j] - 1e9 * (1 - keep[j]);
           softmax(scores.data(), y, n);
         });
       }},
      {"ZeroesWeightsAfterwards", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           softmax(x, y, n);
           for (std::size_t j = 0; j < n; ++j) y[j] = keep[j] != 0 ? y[j] : 0;
         });
       }},
      {"SubtractsTheMaximumOfAllPlaces", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           double top = -HUGE_VAL, sum = 0;
           for (std::size_t j = 0; j < n; ++j) top = std::max(top, x[j]);
           for (std::size_t j = 0; j < n; ++j)
             sum += y[j] = keep[j] != 0 ? std::exp(x[j] - top) : 0;
           for (std::size_t j = 0; j < n && sum > 0; ++j) y[j] /= sum;
         });
       }},
      {"DividesByNothingInAnEmptyRow", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           double sum = 0;
           for (std::size_t j = 0; j < n; ++j) sum += y[j] = keep[j] != 0 ? std::exp(x[j]) : 0;
           for (std::size_t j = 0; j < n; ++j) y[j] /= sum;
         });
       }},
      {"ReadsGradientsOfMaskedPlaces",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         const Tensor y = true_output("masked_softmax", call);
         const Values p = to_doubles(y), grad = to_doubles(g);
         Values out(p.size());
         const auto n = static_cast<std::size_t>(y.dim(-1));
         for (std::size_t at = 0; at < p.size(); at += n) {
           double dot = 0;
           for (std::size_t j = at; j < at + n; ++j) dot += p[j] * grad[j];
           for (std::size_t j = at; j < at + n; ++j) out[j] = p[j] * (grad[j] - dot);
         }
         return Gradient{{"input", make(out, y.shape(), y.dtype())}};
       }},
      {"SumsOverMaskedPlacesInTheLogarithm", "masked_log_softmax",
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           softmax(x, y, n);
           for (std::size_t j = 0; j < n; ++j) y[j] = keep[j] != 0 ? std::log(y[j]) : 0;
         });
       }},
      {"ForgetsTheMaskInItsGradient",
       "masked_log_softmax",
       {},
       [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }},
  };
}

const bool kRegistered =
    register_mutants(mutants_of_keep_where) && register_mutants(mutants_of_masked_softmax);

}  // namespace maskgrad::test
