// What `maskgrad bench` measures. Each benchmark lives in a file of its own.
#pragma once

#include <cstdint>
#include <vector>

#include <maskgrad/tensor/device.hpp>

#include "cli/bench/timing.hpp"

namespace maskgrad::apps {

/// Whole training steps of the blog recipe with its key mask, float32, at batch 2 and 100.
std::vector<Result> bench_blog_step(Device device);

/// How many percent longer a blog step takes with the key mask than with none.
std::vector<Result> bench_mask_overhead();

/// Whole training steps that pack never, by choice and always: of the blog recipe at batch 2 and
/// 100, and of a model of 64 features on 16 samples of 20 to 512 tokens.
std::vector<Result> bench_packing();

struct AttentionSizes {
  std::int64_t batch = 4, heads = 4, dim = 64;           // dim: features of a head
  std::vector<std::int64_t> lengths = {128, 512, 2048};  // S, each measured in turn
};

/// ops::scaled_dot_product_attention in float32 under no mask, causal, padding, window,
/// causal_padding and segments: forward without a tape, and forward and backward.
std::vector<Result> bench_attention(const AttentionSizes& sizes, Device device);
/// Throws Error "[bench] --heads must be 1 to 65536, not 0", and the like for --batch, --dim and
/// --seq.
void check_sizes(const AttentionSizes& sizes);

/// The hot kernels by themselves, and what bounds them: multiply-adds, and memory that the
/// second-level cache holds.
std::vector<Result> bench_kernels();

/// What no kernel can exceed on one core: multiply-adds that wait for nothing.
Result time_multiply_adds();

struct TransformerSizes {
  std::vector<std::int64_t> widths = {64, 128, 192};  // each trained in turn
};

/// Small GPTs over 20 tokens, float32: training steps on rows of 48 tokens and on rows of 16 to 48,
/// and text from one of width 128, alone and 64 at a time, beside what reading its weights takes.
std::vector<Result> bench_transformer(const TransformerSizes& sizes);
/// Throws Error "[bench] --width must be a multiple of 32 from 32 to 4096, not 0".
void check_sizes(const TransformerSizes& sizes);

/// An LSTM and a GRU of width 128 on 32 rows of 64 positions, and of 16 to 64, float32: forward
/// without a tape, and forward and backward.
std::vector<Result> bench_recurrent();

/// Operations on each element of float32 [64, 48, 128], beside a copy that reads and writes as many
/// bytes, and gelu and silu beside their functions alone.
std::vector<Result> bench_elementwise();

/// What the engine costs around an operation: additions of scalars, recorded, and run backward.
std::vector<Result> bench_op_overhead();

}  // namespace maskgrad::apps
