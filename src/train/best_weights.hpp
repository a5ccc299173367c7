// The weights that did best on data that a run is not trained on.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// The note under which a checkpoint holds how validation stood, see BestWeights::note().
inline constexpr const char* kValidationNote = "validation";
/// The note of BestWeights::regular.
inline constexpr const char* kRegularValidationNote = "validation_regular";

/// The weights of the smallest loss of the evaluations so far, and how validation stands.
/// Checkpoints save both: a run that goes on knows the best weights of the steps before its
/// checkpoint, and no others.
struct BestWeights {
  Tensor values = {};     // [N], as ParameterBuffer::values(); undefined where there are none yet
  std::int64_t step = 0;  // done when they were evaluated
  double loss = std::numeric_limits<double>::infinity();
  std::int64_t since = 0;  // regular evaluations since then
  std::string data = {};   // the fingerprint of the data that they were evaluated on
  /// True where only the end of a run made the evaluation: a longer run would not have made it.
  bool at_end = false;
  /// The best of the regular evaluations, which a longer run goes on from. Null unless `at_end`,
  /// and where there was none.
  std::shared_ptr<const BestWeights> regular = {};

  bool defined() const { return values.defined(); }
  /// What a longer run would have: itself, or `regular`; undefined where that has none.
  const BestWeights& of_regular() const;

  /// Step, loss, since and data: "40 1.25 2 30 samples, crc32c 1a2b3c4d". "end" stands for
  /// since where `at_end`.
  std::string note() const;
  /// All but the values, from a note of a checkpoint of so many steps. Throws Error "[checkpoint]
  /// '<file>': ..." for a text that note() does not give, or not after so many steps.
  static BestWeights from_note(const std::string& text, std::int64_t steps,
                               const std::string& file);
};

}  // namespace maskgrad
