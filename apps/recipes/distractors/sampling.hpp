// What each sampler takes to learn a mask with a model that attends.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <maskgrad/layers/learned_mask/sampler.hpp>

namespace maskgrad::apps {

struct Sampling {
  /// The power of a keep value between 0 and 1 that keys count with. Attention weighs keys against
  /// each other: where each needed key counts a tenth, all are read as well as if they counted
  /// whole. A power makes what is kept by less than a half count nearly nothing.
  double sharpness = 1;
  /// The logit that a mask starts with.
  double open = 3;
  /// What is dropped fades by chance, see faded().
  bool fades = false;
  /// The share of a token's cost that is paid. A token that is kept may hardly feel what it is
  /// worth. Then the whole cost drops tokens that few problems need, again and again.
  double pays = 1;
  /// Decisions have no gradient, so a batch holds each sequence kSamples times, see ScoreFunction.
  bool is_scored = false;

  static constexpr std::int64_t kSamples = 4;
};

/// Whether a mask is learned. It is not for "none", with which all is kept, nor for "oracle", with
/// which junk is left out.
bool learns_mask(std::string_view sampler);

/// For a name of sampler_names(); for any other a Sampling that says nothing.
Sampling sampling_of(const std::string& sampler);

/// The sampler of this name. That of straight-through draws. Throws Error for any other name.
std::unique_ptr<Sampler> drawing_sampler(const std::string& name, const Ramp& temperature);

}  // namespace maskgrad::apps
