// Marks on the values of a recorded tape and on their gradients.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {

/// Marks on a tape, carried by what each operation says of itself: a place is marked when it can
/// depend on a marked place, whatever the numbers are.
class MarkedTape {
 public:
  explicit MarkedTape(const Tape& tape) : tape_(tape) {}

  /// Marks elements (bool, of its shape) of a leaf.
  void mark(const Variable& leaf, const Tensor& marks);
  /// Marks elements of a memory: of `value`, and of each input that views them, as token ids do
  /// that several operations read. From then on an input that no reach covers, such as indices, is
  /// taken to reach all that its operation gives. `value` must live on the host.
  void mark_memory(const Tensor& value, const Tensor& marks);
  /// Marks elements of the gradient that arrives at a value.
  void mark_gradient(const Variable& x, const Tensor& marks);

  /// Carries the marks of values from the first operation to the last. With `holes`, masked
  /// elements of every value count as marked too.
  void run(bool holes);
  /// Carries the marks of gradients from the last operation to the first, after run(). A place of a
  /// gradient is marked when its rule reads a marked place of the gradient that arrives, or of a
  /// value. Places that the tape drops are not.
  void run_back();

  const Tape& tape() const { return tape_; }
  /// The marks of a value, or of its gradient; all false for one that the tape does not know.
  Tensor marks(const Gradient& value) const { return find(values_, value); }
  Tensor gradient_marks(const Gradient& value) const { return find(gradients_, value); }
  /// Marks of the shape of an output: the places at which the gradient of an input reads a marked
  /// place. read_by_gradient() looks at values and at the gradient that arrives, values_read() at
  /// values alone.
  Tensor read_by_gradient(const Node& node, std::size_t input, std::size_t output) const;
  Tensor values_read(const Node& node, std::size_t input, std::size_t output) const;

 private:
  using Marks = std::map<const Gradient*, Tensor>;
  Tensor reached(const Node& node, std::size_t output) const;
  Tensor memory_marks(const Node& node, std::size_t input) const;
  bool reads_marks_beside(const Node& node) const;
  static Tensor find(const Marks& marks, const Gradient& value);

  const Tape& tape_;
  Marks values_, gradients_;
  Tensor memory_, memory_marks_;  // undefined until a memory is marked
};

/// Of shape view.shape(): the marks of the elements of `memory` that `view` views. All false where
/// it views none of them.
Tensor marks_in_view(const Tensor& view, const Tensor& memory, const Tensor& marks);

/// Output `output` of node number `node`; a result when no further operation reads it.
struct NodeOutput {
  std::size_t node, output;
  bool is_result;
};
/// All outputs of the operations on a tape, in the order in which observers see them.
std::vector<NodeOutput> outputs_of(const Tape& tape);

/// MarkedTape::values_read(), for marks of one's own.
Tensor values_read(const Node& node, std::size_t input, std::size_t output,
                   const std::function<Tensor(const Gradient&)>& marks_of);

}  // namespace maskgrad
