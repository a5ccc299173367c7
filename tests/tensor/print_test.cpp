// Tensors as text.
#include <limits>
#include <sstream>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/print.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::make;

std::int64_t lines_of(const std::string& text) {
  return 1 + std::count(text.begin(), text.end(), '\n');
}

TEST(TensorText, ShowsDtypeShapeAndNestedElementsInColumns) {
  EXPECT_EQ(to_string(make({1, 2.5, -3, test::kNaN, test::kInf, 0.1}, {2, 3}, DType::kFloat32)),
            "float32 (2, 3)\n"
            "[[  1, 2.5,  -3],\n"
            " [nan, inf, 0.1]]");
  EXPECT_EQ(to_string(make({1, -20, 300, 4}, {2, 1, 2}, DType::kInt64)),
            "int64 (2, 1, 2)\n"
            "[[[  1, -20]],\n"
            " [[300,   4]]]");
  EXPECT_EQ(to_string(test::bits({1, 0}, {2})), "bool (2,)\n[ true, false]");
}

TEST(TensorText, ShowsScalarsEmptyTensorsAndNoTensor) {
  EXPECT_EQ(to_string(make({2}, {})), "float64 ()\n2");
  EXPECT_EQ(to_string(Tensor::zeros({3, 0}, DType::kInt32)), "int32 (3, 0)\n[]");
  EXPECT_EQ(to_string(Tensor()), "undefined");
}

TEST(TensorText, LeavesOutTheMiddleOfLongDimensions) {
  std::vector<double> values(100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  EXPECT_EQ(to_string(make(values, {100}, DType::kInt32)),
            "int32 (100,)\n[ 0,  1,  2,  3, ..., 96, 97, 98, 99]");
  EXPECT_EQ(to_string(make(values, {50, 2}, DType::kInt32)),
            "int32 (50, 2)\n"
            "[[ 0,  1],\n [ 2,  3],\n [ 4,  5],\n [ 6,  7],\n [ 8,  9],\n ...,\n"
            " [90, 91],\n [92, 93],\n [94, 95],\n [96, 97],\n [98, 99]]");
}

TEST(TensorText, IsNeverLongWhateverTheShape) {
  for (const Shape& shape :
       {Shape{1000000}, Shape{1000, 1000}, Shape{100, 100, 100}, Shape{5, 5, 5, 5, 5, 5, 5, 5},
        Shape{2, 2, 2, 2, 2, 2, 2, 2}, Shape{3, 1, 4, 1, 5, 9, 2, 6}, Shape{100000, 1, 1, 1},
        Shape{7, 1, 1, 1, 1, 1, 1, 100000}, Shape{11, 11, 11, 1}, Shape{3, 3, 3, 3, 3, 3, 3, 3}}) {
    const std::string text = to_string(Tensor::full(shape, -0.1234567, DType::kFloat64));
    EXPECT_LE(lines_of(text), 30) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '['), std::count(text.begin(), text.end(), ']'));
  }
}

TEST(CountText, HasAnSUnlessThereIsOne) {
  EXPECT_EQ(count_of(0, "sample"), "0 samples");
  EXPECT_EQ(count_of(1, "sample"), "1 sample");
  EXPECT_EQ(count_of(2, "sample"), "2 samples");
  EXPECT_EQ(count_of(49145, "sample"), "49,145 samples");
}

TEST(Print, PartsTheDigitsOfALargeNumberByCommas) {
  const std::pair<std::int64_t, const char*> cases[] = {
      {0, "0"},
      {999, "999"},
      {1000, "1,000"},
      {49145, "49,145"},
      {-123, "-123"},
      {-123456, "-123,456"},
      {std::numeric_limits<std::int64_t>::min(), "-9,223,372,036,854,775,808"}};
  for (const auto& [number, text] : cases) EXPECT_EQ(with_commas(number), text);
}

TEST(TensorText, GoesToStreams) {
  std::ostringstream out;
  out << make({0.5}, {1});
  EXPECT_EQ(out.str(), "float64 (1,)\n[0.5]");
  out << "; " << Variable(make({2}, {1})) << "; " << Variable();
  EXPECT_EQ(out.str(), "float64 (1,)\n[0.5]; float64 (1,)\n[2]; undefined");
}

}  // namespace
}  // namespace maskgrad
