// The layers of transformers against PyTorch's results for the same numbers
// (tests/data/transformer, which tests/reference/transformer.py describes).
#include <cmath>
#include <functional>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/pytorch_training.hpp"

namespace maskgrad {
namespace {

using test::Tensors;
using test::test_data;
using test::to_doubles;
using test::under;
using ::testing::Contains;
using ::testing::Field;
using ::testing::Gt;

using Variables = std::map<std::string, Variable>;

Tensors fixture(const std::string& name) {
  return load_tensors(test_data("transformer") / (name + ".safetensors"));
}

// What owns the parameters of a case, and its output.
struct Network {
  std::shared_ptr<Module> module;
  std::function<Variable(const Variables&)> output;
};

template <class L, class... Args>
Network network(const Args&... args) {
  auto layer = std::make_shared<L>(args...);
  return {layer, [layer](const Variables& inputs) { return (*layer)(inputs.at("x")); }};
}

Variables inputs_of(const Tensors& fixture, DType dtype) {
  Variables inputs;
  for (const auto& [name, value] : under(fixture, "input.")) {
    const auto keep = fixture.find("keep." + name);
    inputs[name] = Variable(value.to(dtype), Variable::kRequiresGrad,
                            keep == fixture.end() ? SequenceMask() : SequenceMask(keep->second));
  }
  return inputs;
}

// Output and gradients under the names of the fixture.
Tensors results(const Network& network, const Tensors& fixture, DType dtype) {
  ParameterBuffer parameters(*network.module, dtype, 1);
  parameters.load(under(fixture, "parameter."));
  const Variables inputs = inputs_of(fixture, dtype);
  Tape tape;
  const Variable y = ops::fill_masked(network.output(inputs));
  tape.backward(y, fixture.at("weights").to(dtype));
  Tensors found = {{"output", y.value()}};
  for (const auto& [name, x] : inputs) found["gradient." + name] = x.grad();
  for (const auto& [name, gradient] : parameters.named_pieces(parameters.gradients())) {
    found["gradient." + name] = gradient.clone();
  }
  return found;
}

double distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  const std::vector<double> left = to_doubles(a), right = to_doubles(b);
  double sum = 0;
  for (std::size_t i = 0; i < left.size(); ++i) sum += (left[i] - right[i]) * (left[i] - right[i]);
  return std::sqrt(sum);
}

double norm(const Tensor& x) { return distance(x, Tensor::zeros(x.shape(), x.dtype())); }

// What an error of `name` is measured by. The bias of keys adds the same to all scores of a query,
// which softmax does not see. Where keys are not rotated, its gradient is nothing but rounding. So
// it is measured by the gradient of its matrix.
double size_of(const Tensors& exact, std::string name) {
  if (name.ends_with(".k_bias")) name.resize(name.size() - std::string("_bias").size());
  return norm(exact.at(name));
}

struct Difference {
  std::string name;
  double in_float64;       // relative to the norm of what PyTorch has in float64
  double in_float32;       // the same, in float32
  double pytorch_float32;  // PyTorch's own, in float32
};

std::vector<Difference> differences(const Network& network, const Tensors& fixture) {
  const Tensors exact = under(fixture, "float64."), rounded = under(fixture, "float32.");
  const Tensors in_float64 = results(network, fixture, DType::kFloat64),
                in_float32 = results(network, fixture, DType::kFloat32);
  EXPECT_EQ(in_float64.size(), exact.size());
  std::vector<Difference> found;
  for (const auto& [name, expected] : exact) {
    const double size = size_of(exact, name);
    found.push_back({name, distance(in_float64.at(name), expected) / size,
                     distance(in_float32.at(name), expected) / size,
                     distance(rounded.at(name), expected) / size});
  }
  return found;
}

// How much further from float64 than PyTorch's float32 ours may be. PyTorch's kernels fuse
// multiplications with additions. A build that does not rounds each product, too.
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
constexpr double kTimesPyTorch = 2;
#else
constexpr double kTimesPyTorch = 3;
#endif

void expect_agreement(const char* name, const Network& network) {
  for (const Difference& d : differences(network, fixture(name))) {
    SCOPED_TRACE(
        fmt::format("{} of {}: {:.1e} in float64, {:.1e} in float32, where PyTorch has {:.1e}",
                    d.name, name, d.in_float64, d.in_float32, d.pytorch_float32));
    EXPECT_LE(d.in_float64, 1e-12);
    EXPECT_LE(d.in_float32, kTimesPyTorch * d.pytorch_float32);
  }
}

TransformerOptions small() { return {.features = 12, .heads = 3, .hidden = 20}; }
TransformerOptions post_norm() {
  TransformerOptions options = small();
  options.norm_first = false;
  options.activation = Activation::kRelu;
  return options;
}
TransformerOptions swiglu() {
  TransformerOptions options = small();
  options.norm = NormKind::kRms;
  options.activation = Activation::kSilu;
  options.gated = true;
  return options;
}
TransformerOptions llama() {
  TransformerOptions options = swiglu();
  options.key_heads = 1;
  options.bias = false;
  options.rotary = ops::RotaryOptions{.pairs = ops::RotaryPairs::kHalves};
  return options;
}

Network rotary_attention(ops::RotaryPairs pairs, double base, AttentionKind kind) {
  return network<MultiHeadAttention>(
      16, 4,
      MultiHeadAttentionOptions{.key_heads = 2,
                                .kind = kind,
                                .rotary = ops::RotaryOptions{.pairs = pairs, .base = base}});
}

struct EncoderDecoder : Module {
  explicit EncoderDecoder(const TransformerOptions& options)
      : positions(submodule("positions", std::make_unique<LearnedPositions>(7, options.features))),
        encoder(submodule("encoder", std::make_unique<Encoder>(options))),
        decoder(submodule("decoder",
                          std::make_unique<Decoder>(options, DecoderBlock::Memory::kAttends))) {}
  Variable operator()(const Variable& x, const Variable& source) {
    Pass pass;
    const Variable memory = encoder(waves(source, pass), pass);
    return decoder.decode(positions(x, pass), memory, pass);
  }

  SinusoidalPositions waves;
  LearnedPositions& positions;
  Encoder& encoder;
  Decoder& decoder;
};

Network encoder_decoder() {
  TransformerOptions options = small();
  options.heads = 2;
  auto model = std::make_shared<EncoderDecoder>(options);
  return {model, [model](const Variables& inputs) {
            return (*model)(inputs.at("x"), inputs.at("memory"));
          }};
}

TEST(TransformerReference, AnEncoderBlockComputesWhatPyTorchDoes) {
  expect_agreement("encoder_block", network<EncoderBlock>(small()));
}

TEST(TransformerReference, ABlockWithNormsBehindItsBranchesComputesWhatPyTorchDoes) {
  expect_agreement("encoder_block_post_norm", network<EncoderBlock>(post_norm()));
}

TEST(TransformerReference, ADecoderBlockComputesWhatPyTorchDoes) {
  expect_agreement("decoder_block", network<DecoderBlock>(small()));
}

TEST(TransformerReference, AnEncoderDecoderComputesWhatPyTorchDoes) {
  expect_agreement("encoder_decoder", encoder_decoder());
}

TEST(TransformerReference, RotaryAttentionWithGroupedQueriesComputesWhatPyTorchDoes) {
  using enum ops::RotaryPairs;
  expect_agreement("interleaved_attention",
                   rotary_attention(kInterleaved, 10000, AttentionKind::kBidirectional));
  expect_agreement("halves_attention", rotary_attention(kHalves, 500000, AttentionKind::kCausal));
}

TEST(TransformerReference, ABlockWithRMSNormAndSwiGLUComputesWhatPyTorchDoes) {
  expect_agreement("swiglu_block", network<EncoderBlock>(swiglu()));
}

TEST(TransformerReference, ABlockOfLlamaComputesWhatPyTorchDoes) {
  expect_agreement("llama_block", network<DecoderBlock>(llama()));
}

// What a network would show that computes something else from the same parameters.
TEST(TransformerReference, AnotherNetworkDiffers) {
  using enum ops::RotaryPairs;
  const auto differs = Contains(Field(&Difference::in_float64, Gt(1e-3)));
  EXPECT_THAT(differences(network<DecoderBlock>(small()), fixture("encoder_block")), differs);
  EXPECT_THAT(differences(network<EncoderBlock>(post_norm()), fixture("encoder_block")), differs);
  EXPECT_THAT(differences(rotary_attention(kHalves, 10000, AttentionKind::kBidirectional),
                          fixture("interleaved_attention")),
              differs);
}

}  // namespace
}  // namespace maskgrad
