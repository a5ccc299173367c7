// Elementwise operations of one's own, in vectors and on several threads.
//
//   Variable cube(const Variable& x) {
//     return elementwise(kCube, {&x}, [](auto a) { return a * a * a; },
//                        [](auto a, auto g) { return 3 * a * a * g; });
//   }
//
// A function f(x...) gets and returns Elements (elements/elements.hpp), as many as there are
// inputs. It may return a number. Behind the last element of a tensor it is given zeros, whose
// results are dropped. It runs on several threads at once. The dtype is float32 or float64, one for
// all inputs. Shapes broadcast by NumPy's rule. Work is cut by shapes alone, so any number of
// threads gives the same bits.
//
// A functor, a struct with a name, can have a CUDA kernel; see <maskgrad/ops/cuda/elements.hpp>.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <tuple>
#include <utility>

#include <maskgrad/ops/elements/elements.hpp>
#include <maskgrad/ops/elements/map_slot.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {

class BroadcastPlan;

namespace detail {

// The shape that they broadcast to. Throws Error as map_each().
Shape shape_of_each(const char* name, std::initializer_list<const Tensor*> x);
// Throws Error unless y has this shape and dtype.
void check_output_of_each(const char* name, const Tensor& y, const Shape& shape, DType dtype);
// Throws Error for another number of inputs than the description or `functions` says, and for an
// input that has no value.
void check_inputs_of_each(const OpDef& op, Inputs inputs, std::size_t functions);

// A tensor that is read as if it had the shape of the output.
class Broadcast {
 public:
  Broadcast(const char* name, const Tensor& x, const Shape& output);
  ~Broadcast();

  template <class T>
  Elements<T> load(std::int64_t first, std::size_t count) const {
    if (plan_ == nullptr) return Elements<T>::load(x_.data<T>() + first, count);
    T elements[Elements<T>::kCount];
    gather(first, count, elements);
    return Elements<T>::load(elements, count);
  }

 private:
  void gather(std::int64_t first, std::size_t count, float* to) const;
  void gather(std::int64_t first, std::size_t count, double* to) const;

  const Tensor& x_;
  std::unique_ptr<const BroadcastPlan> plan_;  // none where the shapes are the same
};

inline namespace MASKGRAD_ELEMENTS_FOR {

template <class T, class F, class... X>
void map_blocks(T* y, std::int64_t n, const F& f, const X&... x) {
  constexpr auto kCount = static_cast<std::int64_t>(Elements<T>::kCount);
  constexpr std::int64_t kLeast = 16384 / kCount;  // blocks that are worth a thread
  parallel_for((n + kCount - 1) / kCount, kLeast, [&](std::int64_t block, std::int64_t end) {
    for (; block < end; ++block) {
      const std::int64_t first = block * kCount;
      const auto count = static_cast<std::size_t>(std::min(kCount, n - first));
      const Elements<T> elements = f(x.template load<T>(first, count)...);
      elements.store(y + first, count);
    }
  });
}

}  // namespace MASKGRAD_ELEMENTS_FOR
}  // namespace detail

// Each of these is compiled with the flags of whoever calls it, see elements.hpp.
inline namespace MASKGRAD_ELEMENTS_FOR {

/// y = f(x...), element by element, into a tensor that is there. y has the shape that x broadcast
/// to. It may be one of x that has this shape. `name` is what errors call the operation.
/// Throws Error for dtypes that differ or are not floating, for shapes that do not broadcast to
/// y's, for tensors without a value, for tensors on two devices, and for tensors that are not on
/// the CPU where f has no kernel.
template <class F, class... X>
void map_each_into(const char* name, Tensor& y, const F& f, const X&... x) {
  const Shape shape = detail::shape_of_each(name, {&x...});
  detail::check_output_of_each(name, y, shape, std::get<0>(std::tie(x...)).dtype());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, y.dtype(), name, [&]<class T>(T) {
      detail::map_blocks(y.data<T>(), y.numel(), f, detail::Broadcast(name, x, shape)...);
    });
  };
  dispatch_device(y.device(), name, kMapEachCuda<F, X...>, on_cpu, f, x..., y);
}

/// The same into a new tensor.
template <class F, class... X>
Tensor map_each(const char* name, const F& f, const Tensor& x, const X&... rest) {
  const Shape shape = detail::shape_of_each(name, {&x, &rest...});
  check(is_floating(x.dtype()), name, "does not take {}", to_string(x.dtype()));
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  map_each_into(name, y, f, x, rest...);
  return y;
}

/// An operation y = f(x...), recorded. Input i gets the gradient gradients[i](x..., g), where g is
/// the gradient of y. The rule keeps the inputs, so the description must say that a gradient reads
/// them. `given` are arguments of the operation, as in record(). It follows the description for
/// masks.
/// Throws Error for an input without a value, for another number of gradients than of inputs, and
/// as map_each() and record(). backward() throws Error when an input was written to in between.
template <class F, class... Gradient>
Variable elementwise(const OpDef& op, Inputs inputs, AlsoGiven given, F f, Gradient... gradients) {
  static_assert(sizeof...(Gradient) > 0, "give a gradient for each input");
  detail::check_inputs_of_each(op, inputs, sizeof...(Gradient));
  const char* name = op.name.c_str();
  const auto over_inputs = [&]<std::size_t... i>(std::index_sequence<i...>) {
    Tensor y = map_each(name, f, inputs[i]->value()...);
    auto rule = [&op,
                 saved = std::array{Saved(op, op.inputs[i].name.c_str(), inputs[i]->value())...},
                 gradients = std::tuple(gradients...)](const Tensor& g, Gradients& grads) {
      const auto set = [&](std::size_t input, const auto& gradient) {
        if (!grads.needed(input)) return;
        const char* const of = op.name.c_str();
        if (saved[input].shape() != g.shape()) {
          grads.set(input, map_each(of, gradient, *saved[i]..., g));
        } else {
          Tensor dx = grads.buffer(input);
          map_each_into(of, dx, gradient, *saved[i]..., g);
        }
      };
      (set(i, std::get<i>(gradients)), ...);
    };
    return record(op, inputs, std::move(y), std::move(rule), given);
  };
  return over_inputs(std::index_sequence_for<Gradient...>());
}
template <class F, class... Gradient>
Variable elementwise(const OpDef& op, Inputs inputs, F f, Gradient... gradients) {
  return elementwise(op, inputs, AlsoGiven(), std::move(f), std::move(gradients)...);
}

}  // namespace MASKGRAD_ELEMENTS_FOR
}  // namespace maskgrad::ops
