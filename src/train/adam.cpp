#include <cmath>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/adam.hpp>

namespace maskgrad {
namespace {

// w -= rate * m / (sqrt(v) * root + eps) covers both forms.
struct Factors {
  double one_minus_beta1, one_minus_beta2, rate, root, eps;
};

// One loop over all four arrays, which the compiler vectorises: three xtensor expressions pass over
// memory more than once and take 1.3 times as long (49,152 floats: 28 us against 21, AMD EPYC
// Genoa).
template <class T>
void update(const Factors& f, std::int64_t n, const T* __restrict g, T* __restrict w,
            T* __restrict m, T* __restrict v) {
  const T c1 = static_cast<T>(f.one_minus_beta1), c2 = static_cast<T>(f.one_minus_beta2);
  const T rate = static_cast<T>(f.rate), root = static_cast<T>(f.root), eps = static_cast<T>(f.eps);
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] += c1 * (g[i] - m[i]);
    v[i] += c2 * (g[i] * g[i] - v[i]);
    w[i] -= rate * m[i] / (std::sqrt(v[i]) * root + eps);
  }
}

}  // namespace

Adam::Adam(const ParameterBuffer& parameters, Options options) : options_(options) {
  const Shape shape = parameters.values().shape();
  m_ = Tensor::zeros(shape, parameters.dtype(), parameters.values().device());
  v_ = Tensor::zeros(shape, parameters.dtype(), parameters.values().device());
}

void Adam::step(ParameterBuffer& parameters, double lr) {
  const Tensor& gradients = parameters.gradients();
  Tensor& values = parameters.values();
  check(values.shape() == m_.shape() && values.dtype() == m_.dtype(), "adam",
        "was made for parameters {} {}, not {} {}", to_string(m_.dtype()), m_.shape(),
        to_string(values.dtype()), values.shape());
  const auto t = static_cast<double>(++steps_);
  const double correction1 = 1.0 - std::pow(options_.beta1, t);
  const double correction2 = std::sqrt(1.0 - std::pow(options_.beta2, t));
  const bool keras = options_.form == Form::kKeras;
  const Factors factors = {1.0 - options_.beta1, 1.0 - options_.beta2,
                           keras ? lr * correction2 / correction1 : lr / correction1,
                           keras ? 1.0 : 1.0 / correction2, options_.eps};
  dispatch_device(values.device(), "adam", [&] {
    dispatch_dtype(FloatingTypes{}, values.dtype(), "adam", [&]<class T>(T) {
      parallel_for(values.numel(), 16384, [&](std::int64_t i, std::int64_t end) {
        update(factors, end - i, gradients.data<T>() + i, values.data<T>() + i, m_.data<T>() + i,
               v_.data<T>() + i);
      });
    });
  });
}

}  // namespace maskgrad
