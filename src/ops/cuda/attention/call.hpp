// What kernels get of a call of attention. For `.cu` files. Internal to attention.
#pragma once

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <optional>

#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/ops/cuda/attention/kept_keys.hpp>
#include <maskgrad/ops/cuda/attention/products.hpp>
#include <maskgrad/ops/cuda/attention/scores.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::ops::attention {

template <class T>
struct Call {
  HeadLayout q, k, v, output;
  MaskRows mask;
  Scores<T> scores;
  const std::int64_t* first_keys;  // of the samples of the mask
  std::int64_t of_sample;          // 0 where the mask has one sample for all
  T scale;
  int heads, key_heads, queries, keys, features, value_features;
  bool packs;  // whether all rows stand in packs, those that are written too

  __device__ std::int64_t key_head(std::int64_t h) const { return h / (heads / key_heads); }
  __device__ int first_key(std::int64_t b) const {
    return static_cast<int>(first_keys[b * of_sample]);
  }
  /// Of a head of x, `count` rows from `first` on.
  __device__ Rows<T> rows(const T* x, const HeadLayout& layout, std::int64_t b, std::int64_t h,
                          int first, int count) const {
    return {x + layout.at(b, h, first), layout.row, count, packs};
  }
};

/// A problem with what kernels read of it on a device. It must live until the device has been given
/// them.
class ProblemOnDevice {
 public:
  ProblemOnDevice(const AttentionProblem& of, Device on)
      : problem(of), device(on), first_keys_(of.tiles.first_keys()) {
    if (problem.dropout > 0) numbers_.emplace(philox::UniformNumbers(problem.random.value()));
  }

  /// The first key of each sample of the mask.
  const std::int64_t* first_keys() const { return first_keys_.data(); }
  /// Null without dropout.
  const philox::UniformNumbers* numbers() const { return numbers_ ? numbers_->data() : nullptr; }

  const AttentionProblem& problem;
  const Device device;

 private:
  cuda::Uploaded<std::int64_t> first_keys_;
  std::optional<cuda::Uploaded<philox::UniformNumbers>> numbers_;
};

template <class T>
Scores<T> scores_of(const ProblemOnDevice& on) {
  const AttentionProblem& p = on.problem;
  const auto& stride = p.bias_stride;
  return {.softcap = static_cast<T>(p.softcap.value_or(1)),
          .bias = p.bias.defined() ? std::as_const(p.bias).template device_data<T>() : nullptr,
          .bias_stride = {stride[0], stride[1], stride[2], stride[3]},
          .dropout = p.dropout,
          .factor = static_cast<T>(1 / (1 - p.dropout)),
          .heads = p.heads,
          .queries = p.queries,
          .keys = p.keys,
          .numbers = on.numbers(),
          .caps = p.softcap.has_value()};
}

template <class T>
Call<T> call_of(const ProblemOnDevice& on) {
  const AttentionProblem& p = on.problem;
  const auto to_int = [](std::int64_t n) { return static_cast<int>(n); };
  return {.q = p.q,
          .k = p.k,
          .v = p.v,
          .output = p.output,
          .mask = rows_of(p.mask, on.device),
          .scores = scores_of<T>(on),
          .first_keys = on.first_keys(),
          .of_sample = p.mask.shape()[0] == 1 ? 0 : 1,
          .scale = static_cast<T>(p.scale),
          .heads = to_int(p.heads),
          .key_heads = to_int(p.key_heads),
          .queries = to_int(p.queries),
          .keys = to_int(p.keys),
          .features = to_int(p.features),
          .value_features = to_int(p.value_features),
          .packs = false};
}

/// Heads of a tensor of the device.
template <class T>
struct HeadsOnDevice {
  const T* first;
  HeadLayout layout;
  std::int64_t features;

  bool stand_in_packs() const {
    const auto are_packs = [](std::int64_t n) { return n % kOfPack<T> == 0; };
    return std::bit_cast<std::uintptr_t>(first) % sizeof(Pack<T>) == 0 && are_packs(features) &&
           are_packs(layout.batch) && are_packs(layout.head) && are_packs(layout.row);
  }
};
template <class T>
bool stand_in_packs(std::initializer_list<HeadsOnDevice<T>> all) {
  return std::ranges::all_of(all, [](const auto& heads) { return heads.stand_in_packs(); });
}

inline std::int64_t pieces(std::int64_t whole, std::int64_t of_piece) {
  return (whole + of_piece - 1) / of_piece;
}

/// Calls f(shape, is_long): the shape of tiles of T that suits a problem, and, as a constant,
/// whether some products have more than one chain of features.
template <class T, class F>
void with_shape_of(const AttentionProblem& p, F f) {
  const auto run = [&](auto shape) {
    if (std::max(p.features, p.value_features) > kOfChain) {
      f(shape, std::true_type());
    } else {
      f(shape, std::false_type());
    }
  };
  if (p.queries <= 32 && p.keys <= 32) {
    run(TileShape<T, 32, 32>());
  } else {
    constexpr int kLeft = sizeof(T) == 4 ? 64 : 32;
    run(TileShape<T, kLeft, 64>());
  }
}
/// In the dtype of the problem.
template <class F>
void with_shape(const AttentionProblem& p, F f) {
  dispatch_dtype(FloatingTypes{}, p.dtype, "attention",
                 [&]<class T>(T) { with_shape_of<T>(p, f); });
}

/// Memory of the device for trees of sums that each block has, and where the grid begins: it may be
/// a part of one.
template <class T>
struct BlockMemory {
  T* first;
  std::int64_t each, products;  // how much a block has, and what of it is for products
  std::int64_t first_tile, first_head;

  __device__ T* of_products() const {
    return first +
           ((std::int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * each;
  }
  __device__ T* of_sums() const { return of_products() + products; }

  /// The block's tile. From the end: the last tiles of queries, which under a causal mask have the
  /// most to do, come first.
  __device__ int tile() const { return static_cast<int>(first_tile + blockIdx.x); }
  __device__ int tile_from_end() const {
    return static_cast<int>(first_tile + gridDim.x - 1 - blockIdx.x);
  }
  __device__ std::int64_t head() const { return first_head + blockIdx.y; }
};

/// The blocks of a kernel: tiles, heads of samples, and parts of features.
struct Grid {
  std::int64_t tiles, heads, parts;
};

/// How many blocks share the features of a result; one has room for kWidth sums.
template <class S>
std::int64_t parts_of(std::int64_t features) {
  return std::max<std::int64_t>(1, pieces(features, S::kWidth));
}

/// Starts kernel(f) for a grid, cut where it is too large for a launch, or for the memory that its
/// blocks take. `features`: of products; of_sums: numbers of memory that a block takes for its
/// sums.
template <class S, class F>
void launch_parts(const Grid& grid, std::int64_t features, std::int64_t of_sums, Device device,
                  void (*kernel)(F), F f) {
  using T = typename S::T;
  constexpr std::int64_t kMostHeads = 65535, kMostBlocks = 4096;
  if (grid.tiles == 0 || grid.heads == 0 || grid.parts == 0) return;
  const std::int64_t groups = pieces(features, kOfGroup);
  if (groups > 1) {
    f.memory.products = TreeSums<T, S::kPairs>::memory(groups, S::kThreads);
  }
  f.memory.each = f.memory.products + of_sums;
  std::int64_t tiles = grid.tiles, heads = std::min(grid.heads, kMostHeads);
  if (f.memory.each > 0) {
    tiles = std::min(tiles, std::max<std::int64_t>(1, kMostBlocks / grid.parts));
    heads = std::min(heads, std::max<std::int64_t>(1, kMostBlocks / (grid.parts * tiles)));
  }
  const std::int64_t numbers = tiles * heads * grid.parts * f.memory.each;
  Tensor memory = Tensor::empty(Shape{numbers}, dtype_of<T>, device);
  f.memory.first = memory.template device_data<T>();
  const auto to_unsigned = [](std::int64_t n) { return static_cast<unsigned>(n); };
  for (std::int64_t head = 0; head < grid.heads; head += heads) {
    for (std::int64_t tile = 0; tile < grid.tiles; tile += tiles) {
      f.memory.first_head = head;
      f.memory.first_tile = tile;
      const dim3 blocks(to_unsigned(std::min(tiles, grid.tiles - tile)),
                        to_unsigned(std::min(heads, grid.heads - head)), to_unsigned(grid.parts));
      cuda::launch({"attention", blocks, S::kThreads}, kernel, f);
    }
  }
}

}  // namespace maskgrad::ops::attention
