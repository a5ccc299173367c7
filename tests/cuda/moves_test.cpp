// Operations that move elements, on a device.
#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::expect_bits_of_the_cpu;
using test::kCuda;
using Inputs = std::vector<Variable>;
using Axes = std::vector<std::int64_t>;

class CudaMoves : public test::Draws<> {
 protected:
  void permute(const Shape& shape, const Axes& axes) {
    SCOPED_TRACE(to_string(shape));
    expect_bits_of_the_cpu([&](const Inputs& x) { return ops::permute(x[0], axes); },
                           {draw(shape)});
  }
};

TEST_F(CudaMoves, PermuteInAnyOrder) {
  Axes axes = {0, 1, 2, 3};
  do {
    permute({3, 2, 8, 5}, axes);
  } while (std::next_permutation(axes.begin(), axes.end()));
}

TEST_F(CudaMoves, PermuteTurnsMatricesOfAnySize) {
  for (const std::int64_t rows : {1, 7, 8, 31, 32, 33, 70}) {
    for (const std::int64_t columns : {8, 32, 65}) permute({rows, columns}, {1, 0});
  }
  permute({3, 40, 9}, {0, 2, 1});
  permute({9, 3, 40}, {2, 1, 0});
  permute({2, 33, 2, 34}, {3, 0, 2, 1});
  permute({2, 9, 2, 1, 2, 10, 1, 2}, {5, 0, 3, 2, 1, 6, 4, 7});
}

TEST_F(CudaMoves, PermuteNothing) {
  permute({0, 9}, {1, 0});
  permute({9, 0, 9}, {2, 1, 0});
  expect_bits_of_the_cpu([](const Inputs& x) { return ops::permute(x[0], Axes{}); }, {draw({})});
}

TEST_F(CudaMoves, MoveIntegersAndBoolsOfTheDeviceToo) {
  for (const DType dtype : test::kEveryDType) {
    const Tensor x = draw({9, 24}).to(dtype), there = x.to(kCuda);
    const Axes axes = {1, 0};
    EXPECT_TRUE(is_identical(ops::permuted(there, axes).to(Device{}), ops::permuted(x, axes)));
    const auto part = [](const Tensor& of) {
      return ops::slice(Variable(of), 1, 1, 22, 3).value().to(Device{});
    };
    EXPECT_TRUE(is_identical(part(there), part(x)));
  }
}

TEST_F(CudaMoves, SliceWherePartsBeginAnywhere) {
  for (const std::int64_t inner : {1, 2, 3, 4, 6, 8}) {
    for (const std::int64_t begin : {0, 1, 2, 4}) {
      for (const std::int64_t step : {1, 3}) {
        const auto f = [&](const Inputs& x) { return ops::slice(x[0], 1, begin, 8, step); };
        expect_bits_of_the_cpu(f, {draw({3, 9, inner})});
      }
    }
  }
  expect_bits_of_the_cpu([](const Inputs& x) { return ops::slice(x[0], 0, 2, 2); }, {draw({3, 4})});
  expect_bits_of_the_cpu([](const Inputs& x) { return ops::slice(x[0], -1, 700, 1401); },
                         {draw({3, 2000})});
}

TEST_F(CudaMoves, SplitGivesZerosBackForAPartWithoutAGradient) {
  for (const std::size_t part : {0u, 1u, 2u}) {
    const auto f = [&](const Inputs& x) { return ops::split(x[0], {4, 0, 5}, 1)[part]; };
    expect_bits_of_the_cpu(f, {draw({3, 9, 4})});
  }
}

TEST_F(CudaMoves, ConcatValuesOfAnyLength) {
  for (const int axis : {0, 1, -1}) {
    const auto f = [&](const Inputs& x) { return ops::concat(x, axis); };
    std::vector<Tensor> values;
    for (const std::int64_t size : {1, 0, 4, 300}) {
      values.push_back(draw(Shape{3, 5, 2}.with_dim(axis, size)));
    }
    expect_bits_of_the_cpu(f, values);
  }
}

TEST_F(CudaMoves, TakeEntriesAndAddUpWhatComesBack) {
  for (const std::int64_t places : {0, 1, 32, 33, 64, 65, 1000}) {
    for (const std::int64_t columns : {1, 3, 17, 40}) {
      SCOPED_TRACE(fmt::format("{} places, {} columns", places, columns));
      const Tensor indices = draw_indices({places}, 3);
      const auto f = [&](const Inputs& x) { return ops::index_select(x[0], 0, indices); };
      expect_bits_of_the_cpu(f, {draw({7, columns})});  // nobody takes the last four
    }
  }
}

TEST_F(CudaMoves, AddUpManyPlacesOfOneEntryInTheCpusOrder) {
  for (const std::int64_t places : {513, 70'000}) {
    const Tensor indices = draw_indices({places}, 2);
    const auto f = [&](const Inputs& x) { return ops::index_select(x[0], 0, indices); };
    const Tensor x = draw({2}).to(DType::kFloat32);
    const auto wanted = test::run_on(Device{}, f, {x});
    const auto got = test::run_on(kCuda, f, {x});
    EXPECT_TRUE(test::same_bits(got[0], wanted[0]));
    EXPECT_TRUE(test::same_bits(got[1], wanted[1]));
  }
}

TEST_F(CudaMoves, TakeEntriesOfALargeTable) {
  // So few places that they are sorted, not counted.
  const Tensor indices = draw_indices({120}, 3);
  const auto f = [&](const Inputs& x) { return ops::index_select(x[0], 1, indices); };
  expect_bits_of_the_cpu(f, {draw({1, 2000, 2})});
}

TEST_F(CudaMoves, GatherElementsButNotThoseOfHoles) {
  const SequenceMask mask(test::bits({1, 0, 1, 0, 0, 1, 1, 0}, {2, 4}));
  Tensor indices = draw_indices({2, 4, 90}, 5);
  fill_holes(indices, mask, 99);  // nobody reads them
  const auto f = [&](const Inputs& x) { return ops::gather(x[0], 2, indices); };
  expect_bits_of_the_cpu(f, {draw({2, 4, 5})}, mask);
  for (const int axis : {0, 1, 2}) {
    const Shape shape = {3, 4, 5};
    const Tensor of_axis = draw_indices(shape.with_dim(axis, 50), shape[axis]);
    const auto along = [&](const Inputs& x) { return ops::gather(x[0], axis, of_axis); };
    expect_bits_of_the_cpu(along, {draw(shape)});
  }
}

TEST_F(CudaMoves, ReverseSequencesAndSegments) {
  const Tensor lengths = Tensor::from<std::int64_t>({7, 0, 3, 1}, {4});
  for (const std::int64_t features : {1, 2, 3, 4, 8}) {
    const auto sequences = [&](const Inputs& x) { return ops::reverse_packed_segs(x[0], lengths); };
    expect_bits_of_the_cpu(sequences, {draw({9, 4, features})});
    const auto segments = [&](const Inputs& x) {
      return ops::reverse_segment_order(x[0], lengths).output;
    };
    expect_bits_of_the_cpu(segments, {draw({11, features})});
  }
  const SequenceMask mask(test::random_bits(random_, {4, 9}));
  const auto masked = [&](const Inputs& x) {
    return ops::reverse_packed_segs(x[0], lengths, true);
  };
  expect_bits_of_the_cpu(masked, {draw({4, 9, 3})}, mask);
}

TEST_F(CudaMoves, HaveKernels) {
  for (const char* name :
       {"boolean_mask", "boolean_unmask", "concat", "dropout", "gather", "index_select",
        "keep_where", "permute", "reverse_packed_segs", "reverse_segment_order", "rotary_embedding",
        "slice", "split", "unmask_fill", "where"}) {
    EXPECT_TRUE(KernelSlot::any_of(name)) << name;
  }
}

TEST_F(CudaMoves, RefuseTwoDevices) {
  const Variable here(draw({2, 3})), there(draw({2, 3}).to(kCuda));
  EXPECT_EQ(test::error_of([&] {
              ops::concat({there, here}, 0);
            }),
            "[concat] got one input on cuda and another on cpu");
  const Tensor indices = draw_indices({2}, 2);
  EXPECT_EQ(test::error_of([&] { ops::index_select(there, 0, indices.to(kCuda)); }),
            "[tensor] is on cuda: the host cannot read it; bring it there with to(Device{})");
}

}  // namespace
}  // namespace maskgrad
