#include <array>
#include <functional>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/reach.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Reach, OfAnElementIsWhatStandsAlignedWithIt) {
  const Tensor marked = bits({1, 0, 0}, {3, 1});
  EXPECT_THAT(to_doubles(spread(Reach::kElement, marked, Way{{3, 1}, {3, 2}})),
              ElementsAre(1, 1, 0, 0, 0, 0));
  EXPECT_THAT(to_doubles(spread(Reach::kElement, bits({0, 1}, {2}), Way{{2}, {2, 2}})),
              ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(to_doubles(spread(Reach::kElement, bits({1}, {}), Way{{}, {2}})), ElementsAre(1, 1));
}

TEST(Reach, AlongTheLastAxisIsTheWholeRow) {
  const Tensor marked = bits({0, 0, 1, 0, 0, 0}, {2, 3});
  EXPECT_THAT(to_doubles(spread(Reach::kLastAxis, marked, Way{{2, 3}, {2, 3}})),
              ElementsAre(1, 1, 1, 0, 0, 0));
  EXPECT_THAT(to_doubles(spread(Reach::kLastAxis, marked, Way{{2, 3}, {2, 1}})), ElementsAre(1, 0));
}

TEST(Reach, InTheSameOrderIsTheSamePlace) {
  EXPECT_THAT(
      to_doubles(spread(Reach::kSameOrder, bits({0, 1, 0, 0, 0, 1}, {2, 3}), Way{{2, 3}, {3, 2}})),
      ElementsAre(0, 1, 0, 0, 0, 1));
}

TEST(Reach, OfEverythingIsAllOrNothing) {
  for (const Reach reach : {Reach::kEverything, Reach::kUnset, Reach::kByCall}) {
    EXPECT_THAT(to_doubles(spread(reach, bits({0, 1}, {2}), Way{{2}, {3}})), ElementsAre(1, 1, 1));
    EXPECT_THAT(to_doubles(spread(reach, bits({0, 0}, {2}), Way{{2}, {3}})), ElementsAre(0, 0, 0));
  }
}

TEST(Reach, BySignatureFollowsTheLettersThatBothSidesHave) {
  const auto forward = [](const char* signature, const Tensor& marked, const Shape& output) {
    return to_doubles(spread(signature, marked, Way{marked.shape(), output}));
  };
  const Tensor first_row = bits({0, 1, 0, 0}, {2, 2});
  EXPECT_THAT(forward("ik->ij", first_row, {2, 3}), ElementsAre(1, 1, 1, 0, 0, 0));
  EXPECT_THAT(forward("ki->ij", first_row, {2, 1}), ElementsAre(0, 1));
  EXPECT_THAT(forward("...k->...n", first_row, {2, 1}), ElementsAre(1, 0));
  EXPECT_THAT(forward("ij->ji", first_row, {2, 2}), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(forward("...->", first_row, {}), ElementsAre(1));
  EXPECT_THAT(forward("n->...n", bits({0, 1}, {2}), {2, 2}), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(forward("...k->w...n", bits({0, 1}, {2, 1}), {2, 2, 1}), ElementsAre(0, 1, 0, 1));
}

TEST(Reach, BySignatureAlignsDotsFromTheRight) {
  // [2, 1, 1] under an output [3, 2, 2, 1]: its first axis is the output's second.
  const Tensor marked = bits({0, 1}, {2, 1, 1});
  EXPECT_THAT(to_doubles(spread("...k->...n", marked, Way{{2, 1, 1}, {1, 2, 2, 1}})),
              ElementsAre(0, 0, 1, 1));
}

TEST(Reach, BySignatureOfNamedKindsIsTheirs) {
  const Shape shape = {2, 3, 4};
  const Tensor marked =
      bits({1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, shape);
  for (const bool back : {false, true}) {
    const Way way{shape, shape, back};
    EXPECT_TRUE(
        is_identical(spread("...->...", marked, way), spread(Reach::kElement, marked, way)));
    EXPECT_TRUE(
        is_identical(spread("...k->...n", marked, way), spread(Reach::kLastAxis, marked, way)));
  }
}

TEST(Reach, RefusesSignaturesThatAreNone) {
  for (const char* wrong : {"", "k", "k-n", "kk->n", "k->nn", "...k...->n", "K->n", "k->n->m"}) {
    EXPECT_THAT(test::error_of([&] { check_signature("op", wrong); }),
                ::testing::HasSubstr("is no signature; write one like '...k->...n'"))
        << wrong;
  }
  EXPECT_EQ(test::error_of([] {
              spread("ik->ij", bits({1}, {1}), Way{{1}, {1, 1}});
            }),
            "[reach] 'ik->ij' does not fit an input (1,) and an output (1, 1)");
}

TEST(Reach, RefusesADescriptionThatDoesNotFitTheSizes) {
  const auto error = [](Reach reach, const Shape& input, const Shape& output, bool back) {
    const Way way{input, output, back};
    return test::error_of([&] { spread(reach, Tensor::zeros(way.from(), DType::kBool), way); });
  };
  for (const bool back : {false, true}) {
    for (const Reach reach : {Reach(Reach::kElement), Reach("k->k"), Reach("...->...")}) {
      EXPECT_EQ(error(reach, {200}, {100}, back),
                "[reach] axis 0 of an input (200,) is not as long as axis 0 of an output (100,), "
                "which has its index");
      EXPECT_EQ(error(reach, {1}, {100}, back), "no error");
      EXPECT_EQ(error(reach, {200}, {1}, back), "no error");
    }
    EXPECT_EQ(error(Reach::kLastAxis, {2, 3}, {3, 3}, back),
              "[reach] axis 0 of an input (2, 3) is not as long as axis 0 of an output (3, 3), "
              "which has its index");
    EXPECT_EQ(error("...k->n...", {4, 3, 2}, {5, 3}, back),
              "[reach] '...' of '...k->n...' stands for more axes of an input (4, 3, 2) than of an "
              "output (5, 3)");
    EXPECT_EQ(error("...k->n...", {3, 2}, {5, 4, 3}, back), "no error");
  }
  const std::array<int, 1> beyond = {1};
  EXPECT_EQ(test::error_of([&] {
              spread(beyond, bits({1, 0}, {2}), Way{{2}, {2}});
            }),
            "[reach] an output (2,) has no axis 1");
}

// Places of a matrix product [B, I, K] that depend on marked places, by the definition.
std::vector<double> product_reach(const Tensor& a, const Tensor& b, bool of_a) {
  const std::int64_t batch = a.dim(0), rows = a.dim(1), inner = a.dim(2), columns = b.dim(2);
  std::vector<double> reached;
  for (std::int64_t n = 0; n < batch * rows * columns; ++n) {
    const std::int64_t z = n / (rows * columns), i = n / columns % rows, k = n % columns;
    bool any_marked = false;
    for (std::int64_t j = 0; j < inner; ++j) {
      any_marked |= of_a ? a.data<bool>()[(z * rows + i) * inner + j]
                         : b.data<bool>()[(z * inner + j) * columns + k];
    }
    reached.push_back(any_marked);
  }
  return reached;
}

TEST(Reach, OfAProductIsARowAndAColumn) {
  Random random(1);
  const std::array<int, 3> of_a = {0, 1, kAlong}, of_b = {0, kAlong, 2};
  for (int round = 0; round < 50; ++round) {
    const auto size = [&] { return random.integer(0, 3); };
    const std::int64_t batch = size(), rows = size(), inner = size(), columns = size();
    const Tensor a = test::random_bits(random, {batch, rows, inner}, 0.2),
                 b = test::random_bits(random, {batch, inner, columns}, 0.2);
    const Shape output = {batch, rows, columns};
    EXPECT_EQ(to_doubles(spread(of_a, a, Way{a.shape(), output})), product_reach(a, b, true));
    EXPECT_EQ(to_doubles(spread(of_b, b, Way{b.shape(), output})), product_reach(a, b, false));
  }
}

// Index `axis` of element i.
std::int64_t index_of(const Shape& shape, std::int64_t i, int axis) {
  return i / shape.slice(axis + 1, shape.rank()).numel() % shape[axis];
}

// By the definition: where each two axes that are tied have one index, or one of them one element.
Tensor reach_of_each(std::span<const int> ties, const Tensor& marked, const Way& way) {
  Tensor reached = Tensor::zeros(way.output, DType::kBool);
  for (std::int64_t i = 0; i < way.input.numel(); ++i) {
    for (std::int64_t o = 0; marked.data<bool>()[i] && o < way.output.numel(); ++o) {
      bool leads = true;
      for (int a = 0; a < way.input.rank(); ++a) {
        const int tied = ties[static_cast<std::size_t>(a)];
        if (tied < 0 || way.input[a] == 1 || way.output[tied] == 1) continue;
        leads &= index_of(way.input, i, a) == index_of(way.output, o, tied);
      }
      reached.data<bool>()[o] |= leads;
    }
  }
  return reached;
}

TEST(Reach, OfAnyAxesInAnyOrderIsThatOfTheirIndices) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::int64_t> input, output(static_cast<std::size_t>(random.integer(0, 4)));
    for (std::int64_t& size : output) size = random.integer(1, 4);
    std::vector<int> free(output.size()), ties;
    std::iota(free.begin(), free.end(), 0);
    for (std::int64_t a = random.integer(0, 4); a > 0; --a) {
      const auto next = random.integer(0, std::ssize(free));
      ties.push_back(next < std::ssize(free) ? free[static_cast<std::size_t>(next)] : kAlong);
      if (ties.back() == kAlong) {
        input.push_back(random.integer(1, 4));
        continue;
      }
      free.erase(free.begin() + next);
      const std::int64_t size = output[static_cast<std::size_t>(ties.back())];
      input.push_back(size == 1 ? random.integer(1, 4) : random.integer(0, 3) == 0 ? 1 : size);
    }
    const Way way = {Shape(input), Shape(output)};
    const Tensor marked = test::random_bits(random, way.input, 0.1);
    EXPECT_TRUE(test::same_bits(spread(ties, marked, way), reach_of_each(ties, marked, way)))
        << to_string(way.input) << " to " << to_string(way.output);
  }
}

// By the definition: those that lead forward to a marked place.
Tensor led_from(const std::function<Tensor(const Tensor&)>& forward, const Tensor& marked,
                const Shape& input) {
  Tensor found = Tensor::zeros(input, DType::kBool);
  for (std::int64_t i = 0; i < input.numel(); ++i) {
    found.data<bool>()[i] = any(both(forward(mark(input, i)), marked));
  }
  return found;
}

void expect_both_ways(Random& random, const Way& way,
                      const std::function<Tensor(const Tensor&, const Way&)>& spread_marks) {
  const Way back = {way.input, way.output, true};
  const auto forward = [&](const Tensor& marks) { return spread_marks(marks, way); };
  for (const double share : {0.0, 0.1, 0.5}) {
    const Tensor marked = test::random_bits(random, way.output, share);
    const Tensor expected = led_from(forward, marked, way.input);
    EXPECT_TRUE(test::same_bits(spread_marks(marked, back), expected)) << to_string(way.output);
    EXPECT_TRUE(test::same_bits(spread_back(forward, marked, way.input), expected))
        << to_string(way.output);
  }
}

TEST(Reach, LeadsBackToEveryPlaceThatLeadsForward) {
  Random random(2);
  const auto by = [](Reach reach) {
    return [reach](const Tensor& marked, const Way& way) { return spread(reach, marked, way); };
  };
  for (const auto& [input, output] :
       std::initializer_list<std::pair<Shape, Shape>>{{{3, 4}, {3, 4}},
                                                      {{4}, {3, 4}},
                                                      {{3, 1}, {3, 4}},
                                                      {{}, {2, 2}},
                                                      {{1}, {3}},
                                                      {{0}, {0}}}) {
    for (const Reach reach : {Reach::kElement, Reach::kLastAxis, Reach::kEverything}) {
      expect_both_ways(random, {input, output}, by(reach));
    }
  }
  expect_both_ways(random, {{2, 3}, {3, 2}}, by(Reach::kSameOrder));
  const std::array<int, 3> of_a = {0, 1, kAlong}, of_b = {0, kAlong, 2}, turned = {2, 0, 1};
  for (const std::array<int, 3>& ties : {of_a, of_b}) {
    expect_both_ways(
        random, {{2, 3, 4}, ties == of_a ? Shape{2, 3, 5} : Shape{2, 5, 4}},
        [&](const Tensor& marked, const Way& way) { return spread(ties, marked, way); });
  }
  expect_both_ways(random, {{2, 3, 4}, {3, 4, 2}}, [&](const Tensor& marked, const Way& way) {
    return spread(turned, marked, way);
  });
}

TEST(Reach, MarksNoElementThatIsNotThere) {
  EXPECT_EQ(test::error_of([] { mark({2, 3}, 6); }), "[reach] (2, 3) has no element 6");
  EXPECT_EQ(test::error_of([] { mark({}, -1); }), "[reach] () has no element -1");
  EXPECT_EQ(test::error_of([] { mark({0}, 0); }), "[reach] (0,) has no element 0");
}

TEST(Reach, CombinesMarks) {
  const Tensor a = bits({0, 0, 1, 1}, {4}), b = bits({0, 1, 0, 1}, {4});
  EXPECT_THAT(to_doubles(either(a, b)), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(to_doubles(both(a, b)), ElementsAre(0, 0, 0, 1));
  EXPECT_TRUE(any(a));
  EXPECT_FALSE(any(bits({0, 0}, {2})));
  EXPECT_FALSE(any(bits({}, {0})));
  EXPECT_EQ(test::error_of([&] { either(a, bits({1}, {1})); }),
            "[reach] marks of (4,) and (1,) do not fit");
}

}  // namespace
}  // namespace maskgrad
