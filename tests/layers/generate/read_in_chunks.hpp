// Reading a sequence from a cache, a chunk at a time.
#pragma once

#include <initializer_list>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/pass.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/slice.hpp>

namespace maskgrad::test {

/// What call(chunk, pass), such as a layer, gives for the chunks of x [1, S, D] one after another,
/// [1, S, ...]. Each pass reads on from one cache. `sizes` add up to S.
template <class Call>
Tensor read_in_chunks(const Tensor& x, std::initializer_list<std::int64_t> sizes, Call&& call) {
  KeyValueCache cache(1, x.dim(1));
  std::vector<Variable> outputs;
  std::int64_t read = 0;
  for (const std::int64_t size : sizes) {
    Pass pass = Pass::reading(cache);
    outputs.push_back(call(ops::slice(Variable(x), 1, read, read + size), pass));
    read += size;
  }
  EXPECT_EQ(read, x.dim(1));
  return ops::concat(outputs, 1).value();
}

}  // namespace maskgrad::test
