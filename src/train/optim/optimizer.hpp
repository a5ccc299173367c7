// Rules that update parameters by their gradients.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// A rule that updates a model's flat parameters in one pass. What it keeps between
/// steps are tensors of the parameters' shape and dtype, on their device.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Throws Error unless the optimizer was made for parameters of this shape, dtype and device.
  void check_fits(const ParameterBuffer& parameters) const;

  /// Changes the parameters by `gradient_scale` times their gradients. A group's learning rate is
  /// `lr` times its lr_factor. Frozen groups and the gradients stay as they are. Weight decay is
  /// decoupled from the gradient (Loshchilov & Hutter 2019): before the rule of the optimizer,
  /// w -= lr * weight_decay * w.
  /// Throws Error as check_fits(). Throws Error for a number that is not finite: "[adam] the
  /// gradient of dense.bias is nan at element 3", or "[adam] dense.bias becomes inf at element 3
  /// ...". It has then changed some of the parameters, and training cannot go on from them. An
  /// element whose gradient, scaled or not, is not finite keeps its value and its state.
  void step(ParameterBuffer& parameters, double lr, double gradient_scale = 1.0);
  /// The same for parameters on a device, without waiting for it. It changes nothing where `late`
  /// says that something is not finite, and notes there what it finds. Throws Error as
  /// check_fits().
  void step_late(ParameterBuffer& parameters, double lr, double gradient_scale, LateUpdate& late);
  /// Throw the Error of step() for a number that is not finite: among gradients, scaled or not, and
  /// among parameters and state, which an update at learning rate `lr` has changed.
  void check_gradients(ParameterBuffer& parameters, double gradient_scale) const;
  void check_values(const ParameterBuffer& parameters, double lr);
  /// The optimizer's state by name ("m", "r"): flat tensors of the buffer's size. A checkpoint
  /// saves them and writes into them.
  virtual std::map<std::string, Tensor> state() = 0;
  /// The number of steps taken. Loading a checkpoint sets it.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 protected:
  Optimizer(const char* name, const ParameterBuffer& parameters)
      : name_(name),
        shape_(parameters.values().shape()),
        dtype_(parameters.dtype()),
        device_(parameters.values().device()) {}

  /// What one call of update() changes: elements first .. end-1 of the flat tensors, a whole group.
  struct Part {
    std::int64_t first, end;
    double lr;            // the group's
    double weight_decay;  // before the update, w *= 1 - lr * weight_decay
  };

  // Calls f(begin, end) for spans of the part, on several threads. A span is made of whole cache
  // lines, and small enough that a model of some 50,000 parameters keeps the threads busy. Returns
  // whether every call returned true.
  template <class F>
  static bool for_each_span(const Part& part, F f) {
    constexpr std::int64_t kSpan = 4096, kLine = 16;  // elements; a group begins a line
    std::atomic<bool> all = true;
    parallel_for((part.end - part.first + kLine - 1) / kLine, kSpan / kLine,
                 [&](std::int64_t begin, std::int64_t end) {
                   const std::int64_t first = part.first + begin * kLine;
                   if (!f(first, std::min(part.first + end * kLine, part.end))) all = false;
                 });
    return all;
  }

  /// Updates one group. step() calls it once for each group that is not frozen. steps() counts the
  /// step already. Returns false where it may have met or made a number that is not finite. On a
  /// device it notes that in `late`, which is null on the CPU. It must not look for one in a pass
  /// of its own: that would cost too much.
  virtual bool update(ParameterBuffer& parameters, const Part& part, double gradient_scale,
                      LateUpdate* late) = 0;
  const char* name() const { return name_; }

 private:
  bool update_groups(ParameterBuffer& parameters, double lr, double gradient_scale,
                     LateUpdate* late);

  const char* name_;
  Shape shape_;
  DType dtype_;
  Device device_;
  std::int64_t steps_ = 0;
};

}  // namespace maskgrad
