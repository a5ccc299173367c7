// What each sampler takes to learn a mask with a model that attends.
#pragma once

#include <memory>
#include <string>

#include <maskgrad/layers/learned_mask/sampler.hpp>

namespace maskgrad::apps {

struct Sampling {
  /// The power of a keep value between 0 and 1 that keys count with. Attention goes by what keys
  /// weigh beside each other: where all that is needed is kept by a tenth, it is read as well as if
  /// it were kept. A power puts what is lost where the threshold is.
  double sharpness = 1;
  /// The logit that a mask starts with.
  double open = 3;
  /// What is dropped fades by chance, see faded().
  bool fades = false;
  /// The share of a token's cost that is paid. Where a token that is kept hardly feels what it is
  /// worth, the whole cost drives one that is needed now and then back and forth over the threshold.
  double pays = 1;
  /// Decisions have no gradient, so a batch holds each sequence kSamples times, see ScoreFunction.
  bool is_scored = false;

  static constexpr std::int64_t kSamples = 4;
};

/// For a name of sampler_names(); for any other a Sampling that says nothing.
Sampling sampling_of(const std::string& sampler);

/// The sampler of this name. That of straight-through draws. Throws Error for any other name.
std::unique_ptr<Sampler> drawing_sampler(const std::string& name, const Ramp& temperature);

}  // namespace maskgrad::apps
