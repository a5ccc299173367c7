// What `maskgrad bench` measures. Each benchmark lives in a file of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "bench_timing.hpp"

namespace maskgrad::apps {

/// Whole training steps of the blog recipe with its key mask, float32, at batch 2 and 100.
std::vector<Result> bench_blog_step();

/// How many percent longer a blog step takes with the key mask than with none.
std::vector<Result> bench_mask_overhead();

/// What the engine costs around an operation: additions of scalars, recorded, and run backward.
std::vector<Result> bench_op_overhead();

}  // namespace maskgrad::apps
