#include <maskgrad/ops/cuda/strided_copy.hpp>
#include <maskgrad/ops/cuda/words.hpp>

namespace maskgrad::ops {
namespace {

using detail::Walk;

template <class Word>
__global__ void copy_kernel(const Word* from, Walk<2> walk, std::int64_t count, Word* to) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  std::int64_t at[2];
  walk.find(i, at);
  to[at[1]] = from[at[0]];
}

constexpr unsigned kTile = 32, kRowsAtOnce = 8;

// Matrices whose rows become columns: those of a row are neighbours in `from`, those of a column in
// `to`.
struct Transposes {
  std::int64_t rows, columns, from_row, to_column;  // sizes, and steps
  Walk<2> each;

  std::int64_t row_tiles = cuda::blocks_for(rows, kTile);
  std::int64_t column_tiles = cuda::blocks_for(columns, kTile);
};

// A block turns a tile in shared memory, so that both are read and written side by side.
template <class Word>
__global__ void transpose_kernel(const Word* from, Transposes m, Word* to) {
  MASKGRAD_SHARED(Word, tile, [kTile][kTile + 1]);
  const std::int64_t rest = blockIdx.x / m.column_tiles;
  const std::int64_t row = rest % m.row_tiles * kTile, column = blockIdx.x % m.column_tiles * kTile;
  std::int64_t at[2];
  m.each.find(rest / m.row_tiles, at);
  for (unsigned i = threadIdx.y; i < kTile; i += kRowsAtOnce) {
    if (row + i < m.rows && column + threadIdx.x < m.columns) {
      tile[i][threadIdx.x] = from[at[0] + (row + i) * m.from_row + column + threadIdx.x];
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.y; i < kTile; i += kRowsAtOnce) {
    if (column + i < m.columns && row + threadIdx.x < m.rows) {
      to[at[1] + (column + i) * m.to_column + row + threadIdx.x] = tile[threadIdx.x][i];
    }
  }
}

// The axis whose elements are neighbours in `from`, where others are in `to`, and both are long
// enough for tiles; else 0.
int transposed_axis(const Walk<2>& walk) {
  constexpr std::int64_t kLeast = 8;
  if (walk.rank == 0 || walk.steps[1][0] != 1 || walk.sizes[0] < kLeast) return 0;
  for (int axis = 1; axis < walk.rank; ++axis) {
    if (walk.steps[0][axis] == 1 && walk.sizes[axis] >= kLeast) return axis;
  }
  return 0;
}

Transposes transposes_of(const Walk<2>& walk, int transposed) {
  Transposes m{
      walk.sizes[0], walk.sizes[transposed], walk.steps[0][0], walk.steps[1][transposed], {}};
  for (int axis = 1; axis < walk.rank; ++axis) {
    if (axis != transposed)
      m.each.add(walk.sizes[axis], {walk.steps[0][axis], walk.steps[1][axis]});
  }
  return m;
}

bool has_neighbours(const Walk<2>& walk) {
  return walk.rank > 0 && walk.steps[0][0] == 1 && walk.steps[1][0] == 1;
}

// The bits of all numbers of bytes that a word must divide: what is copied from one place to the
// next, and the steps between.
std::uint64_t bytes_of(const Walk<2>& walk, std::size_t element) {
  if (!has_neighbours(walk)) return element;
  std::int64_t all = walk.sizes[0];
  for (const auto& steps : walk.steps) {
    for (int axis = 1; axis < walk.rank; ++axis) all |= steps[axis];
  }
  return static_cast<std::uint64_t>(all) * element;
}

// The same walk over words of so many elements.
Walk<2> in_words(Walk<2> walk, std::size_t elements) {
  if (!has_neighbours(walk)) return walk;
  const auto each = static_cast<std::int64_t>(elements);
  walk.sizes[0] /= each;
  for (auto& steps : walk.steps) {
    for (int axis = 1; axis < walk.rank; ++axis) steps[axis] /= each;
  }
  return walk;
}

}  // namespace

void copy_strided(const char* name, const StridedCopy& copy, const Tensor& from, Tensor& to) {
  if (copy.walk.count() == 0) return;
  const std::size_t element = size_of(from.dtype());
  const std::byte* const source = device_bytes(from) + copy.from * static_cast<int>(element);
  std::byte* const target = device_bytes(to) + copy.to * static_cast<int>(element);
  const int transposed = transposed_axis(copy.walk);
  const std::uint64_t bytes = transposed ? element : bytes_of(copy.walk, element);
  dispatch_word(bytes | alignment_of(source) | alignment_of(target), [&]<class Word>(Word) {
    const auto* const words = reinterpret_cast<const Word*>(source);
    auto* const to_words = reinterpret_cast<Word*>(target);
    if (transposed) {
      const Transposes m = transposes_of(copy.walk, transposed);
      const std::int64_t tiles = m.each.count() * m.row_tiles * m.column_tiles;
      cuda::launch({name, cuda::blocks_for(tiles, 1), dim3(kTile, kRowsAtOnce)},
                   transpose_kernel<Word>, words, m, to_words);
    } else {
      const Walk<2> walk = in_words(copy.walk, sizeof(Word) / element);
      cuda::launch({name, cuda::blocks_for(walk.count()), cuda::kThreads}, copy_kernel<Word>, words,
                   walk, walk.count(), to_words);
    }
  });
}

}  // namespace maskgrad::ops
