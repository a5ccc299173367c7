// Rows of any lengths as one tensor.
#include <array>

#include <gtest/gtest.h>

#include <maskgrad/tensor/pad_rows.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using Row = std::span<const std::int64_t>;
const std::array<std::int64_t, 3> kNumbers = {7, 8, 9};

Tensor pad(const std::vector<Row>& rows, std::int64_t least = 0) {
  return pad_rows(std::ssize(rows), -1, least,
                  [&](std::int64_t b) { return rows[static_cast<std::size_t>(b)]; });
}
std::vector<double> padded(const std::vector<Row>& rows, std::int64_t least = 0) {
  return test::to_doubles(pad(rows, least));
}

TEST(PadRows, FillsUpBehindEachRow) {
  const Row all = kNumbers;
  EXPECT_EQ(padded({all.first(1), all, {}}), (std::vector<double>{7, -1, -1, 7, 8, 9, -1, -1, -1}));
  EXPECT_EQ(padded({all.first(1)}), (std::vector<double>{7}));
}

TEST(PadRows, HasTheLengthThatIsAskedForUnlessARowIsLonger) {
  const Row all = kNumbers;
  EXPECT_EQ(padded({all.first(1), all.last(2)}, 3), (std::vector<double>{7, -1, -1, 8, 9, -1}));
  EXPECT_EQ(padded({all}, 2), (std::vector<double>{7, 8, 9}));
  EXPECT_EQ(pad({}, 4).shape(), (Shape{0, 4}));
  EXPECT_EQ(pad({}).shape(), (Shape{0, 0}));
  EXPECT_EQ(pad({}).dtype(), DType::kInt64);
}

}  // namespace
}  // namespace maskgrad
