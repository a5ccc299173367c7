// Attention's inputs and results on a device.
#pragma once

#include "cuda/on_cuda.hpp"
#include "ops/nn/attention_runs.hpp"

namespace maskgrad::test {

inline AttentionInputs moved(const AttentionInputs& in, Device device) {
  const auto move = [&](const Tensor& x) { return x.defined() ? x.to(device) : Tensor(); };
  return {move(in.q), move(in.k), move(in.v), move(in.g), move(in.bias)};
}

/// The results of a device have the bits of those of the CPU.
inline void expect_same(const AttentionResults& got, const AttentionResults& wanted) {
  const auto found = got.all(), expected = wanted.all();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!expected[i].second.defined()) continue;
    EXPECT_TRUE(is_near(found[i].second.to(Device{}), expected[i].second)) << found[i].first;
  }
}

}  // namespace maskgrad::test
