#include <cmath>
#include <utility>

#include <maskgrad/tensor/mask_kernels.hpp>
#include <maskgrad/tensor/op_def.hpp>
#include <maskgrad/tensor/tape_observer.hpp>

namespace maskgrad {

void FiniteCheck::on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) {
  if (!is_floating(output.dtype())) return;
  dispatch_dtype(FloatingTypes{}, output.dtype(), "tape", [&]<class T>(T) {
    const T* x = std::as_const(output).data<T>();
    for (std::int64_t i = 0; i < output.numel(); ++i) {
      check(std::isfinite(x[i]) || is_hole(mask, output.shape(), i), op.name.c_str(),
            "gave {} at element {} of {}", std::isnan(x[i]) ? std::abs(x[i]) : x[i], i,
            output.shape());
    }
  });
}

}  // namespace maskgrad
