// The weights that did best on data that a run is not trained on.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// The key under which a checkpoint's notes hold BestWeights::note().
inline constexpr const char* kValidationNote = "validation";
/// The key under which a checkpoint's notes hold the note of BestWeights::regular.
inline constexpr const char* kRegularValidationNote = "validation_regular";

/// The weights with the smallest validation loss so far, and how validation stands. A checkpoint
/// saves both. A run that goes on knows the best weights of the steps before its checkpoint, and no
/// others.
struct BestWeights {
  Tensor values = {};     // [N], as ParameterBuffer::values(); undefined where there are none yet
  std::int64_t step = 0;  // steps done when they were evaluated
  double loss = std::numeric_limits<double>::infinity();
  std::int64_t since = 0;  // regular evaluations after that one
  std::string data = {};   // the fingerprint of the data that they were evaluated on
  /// True when only the end of the run caused the evaluation. A longer run would not have made it.
  bool at_end = false;
  /// The best weights of the regular evaluations. A longer run goes on from these. Null unless
  /// `at_end`, and null when there was no regular evaluation.
  std::shared_ptr<const BestWeights> regular = {};

  bool defined() const { return values.defined(); }
  /// The best weights that a longer run would have. Returns this object unless `at_end`, else
  /// `regular`, and undefined weights where `regular` is null.
  const BestWeights& of_regular() const;

  /// Step, loss, since and data: "40 1.25 2 30 samples, crc32c 1a2b3c4d". The word "end" takes the
  /// place of since when `at_end` is true.
  std::string note() const;
  /// Reads everything but the values from a checkpoint's note. `steps` are the steps of the
  /// checkpoint. Throws Error "[checkpoint] '<file>': ..." for a text that note() does not write,
  /// or cannot write after so many steps.
  static BestWeights from_note(const std::string& text, std::int64_t steps,
                               const std::string& file);
};

}  // namespace maskgrad
