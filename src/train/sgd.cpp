#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/train/sgd.hpp>

namespace maskgrad {

Sgd::Sgd(const ParameterBuffer& parameters, double momentum)
    : Optimizer("sgd", parameters), momentum_(momentum), u_(parameters.zeros_beside(0)) {}

void Sgd::update(ParameterBuffer& parameters, double lr, double gradient_scale) {
  Tensor& values = parameters.values();
  dispatch_device(values.device(), name(), [&] {
    dispatch_dtype(FloatingTypes{}, values.dtype(), name(), [&]<class T>(T) {
      const T* g = parameters.read_gradients<T>().data();
      T *w = values.data<T>(), *u = u_.data<T>();
      const T momentum = static_cast<T>(momentum_), rate = static_cast<T>(lr),
              scale = static_cast<T>(gradient_scale);
      for_each_span(values.numel(), [=](std::int64_t begin, std::int64_t end) {
        own_lines(w + begin, end - begin);
        for (std::int64_t i = begin; i < end; ++i) {
          u[i] = momentum * u[i] + scale * g[i];
          w[i] -= rate * u[i];
        }
      });
    });
  });
}

}  // namespace maskgrad
