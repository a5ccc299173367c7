#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/sgd.hpp>

namespace maskgrad {

Sgd::Sgd(const ParameterBuffer& parameters, double momentum)
    : momentum_(momentum),
      u_(Tensor::zeros(parameters.values().shape(), parameters.dtype(),
                       parameters.values().device())) {}

void Sgd::step(ParameterBuffer& parameters, double lr) {
  const Tensor& gradients = parameters.gradients();
  Tensor& values = parameters.values();
  check(values.shape() == u_.shape() && values.dtype() == u_.dtype(), "sgd",
        "was made for parameters {} {}, not {} {}", to_string(u_.dtype()), u_.shape(),
        to_string(values.dtype()), values.shape());
  ++steps_;
  dispatch_device(values.device(), "sgd", [&] {
    dispatch_dtype(FloatingTypes{}, values.dtype(), "sgd", [&]<class T>(T) {
      parallel_for(values.numel(), 16384, [&](std::int64_t begin, std::int64_t end) {
        const T* g = gradients.data<T>();
        T *w = values.data<T>(), *u = u_.data<T>();
        for (std::int64_t i = begin; i < end; ++i) {
          u[i] = static_cast<T>(momentum_) * u[i] + g[i];
          w[i] -= static_cast<T>(lr) * u[i];
        }
      });
    });
  });
}

}  // namespace maskgrad
