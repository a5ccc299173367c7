#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/layer_observer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

using ::testing::ElementsAre;

struct Heard : LayerObserver {
  void on_layer(const Layer& layer, const Variable& x, const Variable& y) override {
    calls.push_back(Scope::path() + " " + layer.kind() + " " + to_string(x.shape()) + " " +
                    to_string(y.shape()));
  }
  std::vector<std::string> calls;
};

Variable ones_of(const Shape& shape) { return Variable(Tensor::full(shape, 1, DType::kFloat32)); }

TEST(LayerObserver, HearsOfInnerLayersFirst) {
  EncoderBlock block({.features = 4, .heads = 2});
  const ParameterBuffer parameters(block, DType::kFloat32, 1);
  const Scope scope("model");
  const Heard heard;
  block(ones_of({1, 3, 4}));
  EXPECT_THAT(heard.calls, ElementsAre("model.attention_norm LayerNorm (1, 3, 4) (1, 3, 4)",
                                       "model.attention MultiHeadAttention (1, 3, 4) (1, 3, 4)",
                                       "model.attention_dropout Dropout (1, 3, 4) (1, 3, 4)",
                                       "model.feed_forward_norm LayerNorm (1, 3, 4) (1, 3, 4)",
                                       "model.feed_forward FeedForward (1, 3, 4) (1, 3, 4)",
                                       "model.feed_forward_dropout Dropout (1, 3, 4) (1, 3, 4)",
                                       "model EncoderBlock (1, 3, 4) (1, 3, 4)"));
}

TEST(LayerObserver, HearsNothingBesideItsLife) {
  Dense dense(4, 2);
  const ParameterBuffer parameters(dense, DType::kFloat32, 1);
  const Heard outer;
  {
    const Heard inner;
    dense(ones_of({1, 4}));
    EXPECT_EQ(inner.calls.size(), 1U);
  }
  EXPECT_TRUE(outer.calls.empty()) << "the innermost hears";
  dense(ones_of({1, 4}));
  EXPECT_EQ(outer.calls.size(), 1U);
}

}  // namespace
}  // namespace maskgrad
