// Embedding on a device, where tokens are many, repeated, masked, or none.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::same_bits;

struct Result {
  Tensor output, gradient;  // on the host
};

Result run(const Tensor& table, const Variable& tokens, const Tensor& g, Device device) {
  Tape tape;
  const Variable weight = test::leaf(table.to(device));
  const Variable y = ops::embedding(weight, tokens);
  tape.backward(y, g.to(device));
  return {y.value().to(Device{}), weight.grad().to(Device{})};
}

void expect_the_bits_of_the_cpu(const Tensor& table, const Variable& tokens, const Tensor& g) {
  const Result wanted = run(table, tokens, g, {});
  test::in_each_order([&] {
    const Result got = run(table, tokens, g, kCuda);
    EXPECT_TRUE(same_bits(got.output, wanted.output));
    EXPECT_TRUE(same_bits(got.gradient, wanted.gradient));
  });
}

// Tokens of which a few are most of all: rows of the table with many blocks of places.
Tensor skewed_tokens(std::int64_t count, std::int64_t vocabulary) {
  Random random(3);
  Tensor tokens = Tensor::empty({count}, DType::kInt64);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t most = i % 4 < 2 ? 0 : vocabulary - 1;
    tokens.data<std::int64_t>()[i] = i % 4 == 0 ? 0 : random.integer(0, most);
  }
  return tokens;
}

TEST(CudaEmbedding, AddsThePlacesOfARowInTheOrderOfTheCpu) {
  Random random(1);
  struct Case {
    std::int64_t tokens, vocabulary, features;
  };
  // Both ways to find places, one block of them and a tree of up to 61, one column and several
  // times 32.
  for (const auto& [tokens, vocabulary, features] :
       {Case{33, 5, 1}, {64, 3, 70}, {2600, 7, 3}, {90, 1000, 40}, {1, 1, 32}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      expect_the_bits_of_the_cpu(test::uniform(random, {vocabulary, features}).to(dtype),
                                 Variable(skewed_tokens(tokens, vocabulary)),
                                 test::uniform(random, {tokens, features}).to(dtype));
    }
  }
}

TEST(CudaEmbedding, OfNothingIsNothing) {
  const Tensor none = Tensor::zeros({0}, DType::kInt64), two = Tensor::zeros({2}, DType::kInt64);
  expect_the_bits_of_the_cpu(test::make({1, 2}, {2, 1}), Variable(none), test::make({}, {0, 1}));
  expect_the_bits_of_the_cpu(test::make({}, {2, 0}), Variable(two), test::make({}, {2, 0}));
}

TEST(CudaEmbedding, ReadsNeitherMaskedTokensNorTheirGradients) {
  const SequenceMask mask(test::bits({1, 0, 1, 0, 0, 0}, {2, 3}));
  const Variable tokens(Tensor::from<std::int64_t>({1, 99, 1, -7, 99, 0}, {2, 3}),
                        Variable::kConstant, mask);
  Tensor g = Tensor::full({2, 3, 2}, test::kNaN, DType::kFloat64);
  g.view(0, {2}).copy_from(test::make({1, 2}, {2}));
  g.view(4, {2}).copy_from(test::make({10, 20}, {2}));
  const Tensor table = test::make({test::kInf, test::kInf, 3, 4}, {2, 2});
  expect_the_bits_of_the_cpu(table, tokens, g);
  const Result got = run(table, tokens, g, kCuda);
  EXPECT_EQ(test::to_doubles(got.output),
            (std::vector<double>{3, 4, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(test::to_doubles(got.gradient), (std::vector<double>{0, 0, 11, 22}));
}

TEST(CudaEmbedding, NamesATokenOutsideTheVocabulary) {
  const Variable weight(Tensor::zeros({3, 2}, DType::kFloat32, kCuda));
  const Variable tokens(Tensor::from<std::int64_t>({2, 0, 3}, {3}));
  EXPECT_EQ(test::error_of([&] { ops::embedding(weight, tokens); }),
            "[embedding] token 3 at element 2 of (3,) is outside the vocabulary of 3");
}

// The gradient of a large table in a buffer that held NaN: a pass clears what the one before wrote,
// and no more.
TEST(CudaEmbedding, ClearsTheRowsThatTheLastPassWrote) {
  constexpr std::int64_t kVocabulary = 500, kFeatures = 40;
  const Shape shape = {kVocabulary, kFeatures};
  const Tensor buffer = Tensor::full(shape, test::kNaN, DType::kFloat32, kCuda);
  Variable weight = test::leaf(Tensor::zeros(shape, DType::kFloat32, kCuda));
  const Ref<Gradient> gradient = weight.bind(weight.value().clone(), buffer);
  const auto pass = [&](std::initializer_list<std::int64_t> ids, double g) {
    gradient->clear();
    Tape tape;
    const Variable tokens(Tensor::from(ids, {std::ssize(ids)}));
    const Variable y = ops::embedding(weight, tokens);
    tape.backward(y, Tensor::full(y.shape(), g, DType::kFloat32, kCuda));
  };
  pass({7, 499, 7}, 0.5);
  const std::uint64_t before = Traffic::so_far().filled;
  pass({3, 7}, 2);
  EXPECT_LT(Traffic::so_far().filled - before, 10 * kFeatures * sizeof(float));
  const std::vector<double> got = test::to_doubles(buffer.to(Device{}));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t row = i / kFeatures;
    ASSERT_EQ(got[i], row == 3 || row == 7 ? 2 : 0) << row;
  }
}

}  // namespace
}  // namespace maskgrad
