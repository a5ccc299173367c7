// The bits of MultiHeadAttention, however queries, keys and values are computed and whatever stands
// around them.
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/nn/attention.hpp>

#include "layers/generate/read_in_chunks.hpp"
#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::kFloatingDTypes;
using test::same_bits;
using test::uniform;

constexpr std::int64_t kFeatures = 24, kHeads = 4;

// A layer and its parameters, none of which is 0.
struct Model : test::Drawn<MultiHeadAttention> {
  explicit Model(const MultiHeadAttentionOptions& options, DType dtype)
      : Drawn(dtype, kFeatures, kHeads, options) {}
};

// The layer's formula, with a product for each matrix.
Variable apart(const Model& model, const Variable& x) {
  std::map<std::string, Variable> p;
  for (const NamedLeaf& named : model.parameters.leaves()) p.emplace(named.name, named.leaf);
  const auto product = [&](const Variable& a, const std::string& name) {
    const auto bias = p.find(name + "_bias");
    return bias == p.end() ? ops::matmul(a, p.at(name)) : ops::linear(a, p.at(name), bias->second);
  };
  ops::AttentionOptions options;
  options.heads = kHeads;
  const Variable q = product(x, "q"), k = product(x, "k"), v = product(x, "v");
  return product(
      ops::scaled_dot_product_attention(q, k, v, AttentionMask::causal(x.dim(1)), options), "o");
}

TEST(MultiHeadAttention, HasTheBitsOfAProductForEachMatrix) {
  Random random(3);
  for (const DType dtype : kFloatingDTypes) {
    for (const bool bias : {true, false}) {
      for (const std::int64_t length : {1, 4, 150}) {
        Model model({.kind = AttentionKind::kCausal, .bias = bias}, dtype);
        const Variable x(uniform(random, {3, length, kFeatures}).to(dtype));
        EXPECT_TRUE(same_bits(model.layer(x).value(), apart(model, x).value())) << length;
      }
    }
  }
}

TEST(MultiHeadAttention, ReadsOnFromACacheWithTheBitsOfTheWholeSequence) {
  Random random(4);
  for (const std::int64_t key_heads : {0, 2}) {
    for (const bool bias : {true, false}) {
      Model model({.key_heads = key_heads, .kind = AttentionKind::kCausal, .bias = bias},
                  DType::kFloat32);
      const Tensor x = uniform(random, {1, 90, kFeatures}).to(DType::kFloat32);
      const Tensor whole = model.layer(Variable(x)).value();
      const Tensor chunks = test::read_in_chunks(x, {1, 70, 2, 1, 16}, model.layer);
      EXPECT_TRUE(same_bits(chunks, whole));
    }
  }
}

// A sequence of several tiles and chunks alone, behind padding, and as the beginning of a longer
// one.
TEST(MultiHeadAttention, GivesASequenceTheSameBitsWhateverStandsAroundIt) {
  constexpr std::int64_t kLength = 150, kRow = kFeatures;
  for (const DType dtype : kFloatingDTypes) {
    Model model({.kind = AttentionKind::kCausal, .rotary = ops::RotaryOptions()}, dtype);
    Random random(5);
    const Tensor x = uniform(random, {1, kLength, kRow}).to(dtype);
    const Tensor alone = model.layer(Variable(x)).value().clone();
    for (const std::int64_t padding : {1, 2, 37, 63, 64, 65, 100}) {
      Tensor padded = Tensor::full({1, padding + kLength, kRow}, 7.0, dtype);
      padded.view(padding * kRow, x.shape()).copy_from(x);
      std::vector<double> exists(static_cast<std::size_t>(padding), 0.0);
      exists.resize(static_cast<std::size_t>(padding + kLength), 1.0);
      const SequenceMask mask = test::mask_of(exists, {1, padding + kLength});
      const Variable y = model.layer(Variable(padded, Variable::kConstant, mask));
      EXPECT_TRUE(same_bits(y.value().view(padding * kRow, x.shape()), alone)) << padding;
    }
    for (const std::int64_t length : {1, 2, 63, 64, 65, 149}) {
      const Shape shape = {1, length, kRow};
      const Tensor y = model.layer(Variable(x.view(0, shape).clone())).value();
      EXPECT_TRUE(same_bits(y, alone.view(0, shape))) << length;
    }
  }
}

}  // namespace
}  // namespace maskgrad
