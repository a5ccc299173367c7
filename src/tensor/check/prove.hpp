// Can anything that is masked reach a result? Proved from what operations say they read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <maskgrad/tensor/tape.hpp>

namespace maskgrad {

/// Marks on the values of a recorded tape, carried forward: an element is marked when it can depend
/// on a marked element of a leaf, by what each operation says of its reach.
class MarkedTape {
 public:
  explicit MarkedTape(const Tape& tape) : tape_(tape) {}

  /// Marks elements (bool, of its shape) of a leaf. Throws Error for a constant.
  void mark(const Variable& leaf, const Tensor& marks);
  /// Goes through the tape. With `holes`, masked elements of every value count as marked too.
  void run(bool holes);
  /// The marks of a value; all false for one that the tape does not know.
  Tensor marks(const GradSlot& slot) const;

 private:
  const Tape& tape_;
  std::map<const GradSlot*, Tensor> marks_;
};

struct MaskProof {
  /// From the masked place to the result, one step a line; empty when none reaches one.
  std::vector<std::string> path = {};
  std::int64_t operations = 0;
  std::int64_t results = 0;  // values that no further operation reads
  /// The first operation all of whose kept places can depend on masked ones, where there are
  /// several: "softmax in layer 'reflect'". Empty when none does.
  std::string everywhere = {};

  bool holds() const { return path.empty(); }
};
std::string to_string(const MaskProof& proof);

/// Looks at every result of a tape that traces (Tape::Options::trace) for a kept place that can
/// depend on a masked place of any value, whatever the numbers are. Relies on what each operation
/// says of its reach, which check_op() holds against what it does. Speaks of the forward pass.
/// Throws Error for a tape that does not trace.
MaskProof prove_mask(const Tape& tape);

}  // namespace maskgrad
