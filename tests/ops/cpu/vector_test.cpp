// Parts of vectors, the search for numbers that are not finite, and transposition.
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <maskgrad/ops/cpu/vector/transpose.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::kLanes;
using ops::Vec;
using test::kInf;
using test::kNaN;

template <class T>
class Vectors : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Vectors, FloatingTypes);

// Memory that ends where a page ends that may not be touched.
template <class T>
class EndOfMemory {
 public:
  EndOfMemory() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    block_ = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(block_, MAP_FAILED);
    EXPECT_EQ(mprotect(static_cast<std::byte*>(block_) + page_, page_, PROT_NONE), 0);
  }
  ~EndOfMemory() { munmap(block_, 2 * page_); }
  EndOfMemory(const EndOfMemory&) = delete;
  EndOfMemory& operator=(const EndOfMemory&) = delete;

  /// The last `count` elements.
  T* last(std::int64_t count) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(block_) + page_) - count;
  }

 private:
  std::size_t page_;
  void* block_;
};

template <class T>
std::array<T, static_cast<std::size_t>(kLanes<T>)> lanes_of(const Vec<T>& x) {
  std::array<T, static_cast<std::size_t>(kLanes<T>)> lanes;
  x.store_unaligned(lanes.data());
  return lanes;
}

TYPED_TEST(Vectors, OfAPartHoldZeroBehindItAndReadNothingThere) {
  const EndOfMemory<TypeParam> memory;
  for (std::int64_t count = 0; count <= kLanes<TypeParam>; ++count) {
    TypeParam* from = memory.last(count);
    for (std::int64_t i = 0; i < count; ++i) from[i] = static_cast<TypeParam>(i + 1);
    const auto lanes = lanes_of(ops::load_first(from, count));
    for (std::int64_t i = 0; i < kLanes<TypeParam>; ++i) {
      const TypeParam lane = lanes[static_cast<std::size_t>(i)];
      EXPECT_EQ(lane, static_cast<TypeParam>(i < count ? i + 1 : 0)) << i << " of " << count;
      EXPECT_FALSE(std::signbit(lane));
    }
  }
}

TYPED_TEST(Vectors, AreStoredInPartAndWriteNothingBehindIt) {
  const EndOfMemory<TypeParam> memory;
  constexpr auto kSize = static_cast<std::size_t>(kLanes<TypeParam>);
  std::array<TypeParam, kSize> lanes;
  for (std::size_t i = 0; i < kSize; ++i) lanes[i] = static_cast<TypeParam>(i + 1);
  const auto x = Vec<TypeParam>::load_unaligned(lanes.data());
  for (std::int64_t count = 0; count <= kLanes<TypeParam>; ++count) {
    ops::store_first(x, memory.last(count), count);
    std::array<TypeParam, kSize> to;
    to.fill(-7);
    ops::store_first(x, to.data(), count);
    for (std::int64_t i = 0; i < kLanes<TypeParam>; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(to[at], i < count ? lanes[at] : -7) << i << " of " << count;
      if (i < count) {
        EXPECT_EQ(memory.last(count)[i], lanes[at]);
      }
    }
  }
}

TYPED_TEST(Vectors, AreRoundedUpToWholeOnes) {
  const std::int64_t n = kLanes<TypeParam>;
  EXPECT_EQ(ops::whole_vectors<TypeParam>(0), 0);
  EXPECT_EQ(ops::whole_vectors<TypeParam>(1), n);
  EXPECT_EQ(ops::whole_vectors<TypeParam>(n), n);
  EXPECT_EQ(ops::whole_vectors<TypeParam>(n + 1), 2 * n);
}

TYPED_TEST(Vectors, AreSearchedForEveryNumberThatIsNotFinite) {
  constexpr TypeParam kMost = std::numeric_limits<TypeParam>::max(),
                      kLeast = std::numeric_limits<TypeParam>::denorm_min();
  const TypeParam finite[] = {0, kMost, -kMost, 1, kLeast, -kLeast, -1};
  const EndOfMemory<TypeParam> memory;
  for (std::int64_t n = 0; n <= 70; ++n) {
    TypeParam* x = memory.last(n);
    for (std::int64_t i = 0; i < n; ++i) x[i] = finite[i % 7];
    EXPECT_TRUE(ops::all_finite(x, n)) << n;
    for (std::int64_t i = 0; i < n; ++i) {
      for (const double poison : {kInf, -kInf, kNaN}) {
        x[i] = static_cast<TypeParam>(poison);
        EXPECT_FALSE(ops::all_finite(x, n)) << poison << " at " << i << " of " << n;
      }
      x[i] = finite[i % 7];
    }
  }
}

TYPED_TEST(Vectors, AreSearchedNoFurtherThanSaid) {
  std::vector<TypeParam> x(64, static_cast<TypeParam>(kNaN));
  for (std::int64_t n = 0; n < 64; ++n) {
    EXPECT_TRUE(ops::all_finite(x.data(), n)) << n;
    x[static_cast<std::size_t>(n)] = 1;
  }
}

// A matrix whose rows are further apart than they are long, with NaN between them.
template <class T>
std::vector<T> matrix(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  std::vector<T> x(static_cast<std::size_t>(rows * stride), static_cast<T>(kNaN));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      x[static_cast<std::size_t>(i * stride + j)] = static_cast<T>(100 * i + j + 1);
    }
  }
  return x;
}

template <bool padded, class T>
void expect_transposed(std::int64_t rows, std::int64_t columns, T factor) {
  constexpr T kUntouched = -7;
  const std::int64_t width = padded ? ops::whole_vectors<T>(rows) : rows, stride = width + 3;
  const std::vector<T> from = matrix<T>(rows, columns, columns + 2);
  std::vector<T> to(static_cast<std::size_t>((columns + 2) * stride), kUntouched);
  ops::transpose<padded>(from.data(), columns + 2, rows, columns, factor, to.data(), stride);
  for (std::int64_t j = 0; j < columns + 2; ++j) {
    for (std::int64_t i = 0; i < stride; ++i) {
      const bool is_outside = j >= columns || i >= (rows > 0 ? width : 0);
      const T expected = is_outside ? kUntouched
                         : i < rows ? factor * static_cast<T>(100 * i + j + 1)
                                    : T{};
      ASSERT_EQ(to[static_cast<std::size_t>(j * stride + i)], expected)
          << rows << " x " << columns << " at " << i << ", " << j;
      ASSERT_FALSE(expected == 0 && std::signbit(to[static_cast<std::size_t>(j * stride + i)]));
    }
  }
}

TYPED_TEST(Vectors, OfRowsBecomeColumnsForEveryShapeAndNothingElseIsWritten) {
  for (std::int64_t rows = 0; rows <= 40; ++rows) {
    for (std::int64_t columns = 0; columns <= 40; ++columns) {
      expect_transposed<false, TypeParam>(rows, columns, 1);
      expect_transposed<true, TypeParam>(rows, columns, -0.5);
    }
  }
}

TYPED_TEST(Vectors, OfRowsAreReadToTheLastElementAndNoFurther) {
  const EndOfMemory<TypeParam> memory;
  for (const std::int64_t rows : {1, 5, 16, 17}) {
    for (const std::int64_t columns : {1, 7, 8, 16, 23}) {
      TypeParam* from = memory.last(rows * columns);
      for (std::int64_t i = 0; i < rows * columns; ++i) from[i] = static_cast<TypeParam>(i);
      std::vector<TypeParam> to(static_cast<std::size_t>(rows * columns));
      ops::transpose<false, TypeParam>(from, columns, rows, columns, 1, to.data(), rows);
      for (std::int64_t i = 0; i < rows * columns; ++i) {
        ASSERT_EQ(to[static_cast<std::size_t>(i % columns * rows + i / columns)], from[i]);
      }
    }
  }
}

}  // namespace
}  // namespace maskgrad
