#include <algorithm>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/model_graph.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::int64_t kLength = 6;

// Three rows of 2, 4 and 6 tokens above 0, then padding.
Batch batch_of(std::int64_t samples) {
  SequenceDataset data(kLength, 0);
  for (std::int64_t row = 0; row < 3; ++row) {
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(2 * row + 2));
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = 1 + static_cast<std::int64_t>(i);
    data.add(tokens, row);
  }
  const std::int64_t ids[] = {0, 1, 2};
  return data.collate(std::span(ids).first(static_cast<std::size_t>(samples)));
}

// A model of layers, and its graph on a batch.
struct Subject {
  explicit Subject(MaskAxis axis = MaskAxis::kKey) {
    layers.add<Masking>("masking", 0)
        .add<Embed>("embed", 10, 4)
        .add<Reflect>("reflect", 4, axis)
        .add<Reshape>("reshape", std::vector<std::int64_t>{24})
        .add<Dense>("dense", 24, 8)
        .add<Dense>("last", 8, 3);
  }

  ModelGraph graph(std::int64_t samples = 3) {
    if (!parameters) parameters.emplace(layers, DType::kFloat32, 1);
    const Model model = [this](const Batch& batch, Pass& pass) -> ModelOutput {
      return ops::cross_entropy(layers(Variable(batch.inputs), pass), batch.targets);
    };
    return graph_of(model, *parameters, batch_of(samples));
  }

  Sequential layers;
  std::optional<ParameterBuffer> parameters;
};

const GraphNode& node_of(const ModelGraph& graph, const std::string& name) {
  const auto found = std::ranges::find(graph.nodes, name, &GraphNode::name);
  if (found == graph.nodes.end()) throw std::runtime_error("no node '" + name + "'");
  return *found;
}

std::vector<std::string> names_of(const ModelGraph& graph) {
  std::vector<std::string> names;
  for (const GraphNode& node : graph.nodes) names.push_back(node.name);
  return names;
}

// The nodes that read a mask.
std::vector<std::string> readers_of(const ModelGraph& graph, const std::string& mask) {
  std::vector<std::string> names;
  for (const GraphNode& node : graph.nodes) {
    if (std::ranges::count(node.inputs, "^" + mask) > 0) names.push_back(node.name);
  }
  return names;
}

// What every reader of graphs relies on.
void expect_sound(const ModelGraph& graph) {
  std::set<std::string> before;
  for (const GraphNode& node : graph.nodes) {
    for (std::string input : node.inputs) {
      if (input.starts_with('^')) input.erase(0, 1);
      EXPECT_TRUE(before.contains(input.substr(0, input.find(':'))))
          << node.name << " <- " << input;
    }
    EXPECT_TRUE(before.insert(node.name).second) << node.name;
    EXPECT_EQ(node.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-/."),
              std::string::npos)
        << node.name;
  }
}

TEST(ModelGraph, HasANodeForEachParameterInputOperationAndLayer) {
  Subject subject;
  const ModelGraph graph = subject.graph();
  expect_sound(graph);
  EXPECT_THAT(
      names_of(graph),
      ElementsAre("embed/weight", "reflect/q", "reflect/k", "reflect/v", "dense/weight",
                  "dense/bias", "last/weight", "last/bias", "inputs", "masking/Masking", "mask",
                  "embed/embedding", "embed/Embed", "reflect/fill_masked", "reflect/stacked_matmul",
                  "reflect/self_attention", "reflect/Reflect", "reshape/fill_masked",
                  "reshape/reshape", "reshape/Reshape", "dense/linear", "dense/Dense",
                  "last/linear", "last/Dense", "targets", "cross_entropy"));
  for (const NamedParameter& named : subject.layers.parameters()) {
    std::string name = named.name;
    std::ranges::replace(name, '.', '/');
    const GraphNode& node = node_of(graph, name);
    const Shape& shape = named.parameter->shape();
    EXPECT_EQ(node.op, "VariableV2");
    EXPECT_EQ(node.dtype, DType::kFloat32);
    EXPECT_THAT(node.outputs, ElementsAre(GraphDims(shape.begin(), shape.end())));
  }
  EXPECT_THAT(node_of(graph, "dense/linear").inputs,
              ElementsAre("reshape/Reshape", "dense/weight", "dense/bias"));
  EXPECT_THAT(node_of(graph, "cross_entropy").inputs, ElementsAre("last/Dense", "targets"));
  EXPECT_EQ(node_of(graph, "last/Dense").notes.at("layer"), "last");
}

TEST(ModelGraph, LeavesOpenWhatDependsOnTheBatch) {
  Subject subject;
  const ModelGraph graph = subject.graph();
  EXPECT_THAT(node_of(graph, "inputs").outputs, ElementsAre(GraphDims{-1, kLength}));
  EXPECT_THAT(node_of(graph, "embed/Embed").outputs, ElementsAre(GraphDims{-1, kLength, 4}));
  EXPECT_THAT(node_of(graph, "last/Dense").outputs, ElementsAre(GraphDims{-1, 3}));
  EXPECT_THAT(node_of(graph, "cross_entropy").outputs, ElementsAre(GraphDims{}));
  const ModelGraph alone = subject.graph(1);
  EXPECT_THAT(node_of(alone, "last/Dense").outputs, ElementsAre(GraphDims{1, 3}))
      << "one sample does not tell";
}

TEST(ModelGraph, ShowsWhereAMaskIsMadeUsedAndEnded) {
  Subject subject;
  const ModelGraph graph = subject.graph();
  EXPECT_EQ(node_of(graph, "mask").op, "Mask");
  EXPECT_EQ(node_of(graph, "mask").dtype, DType::kBool);
  EXPECT_THAT(node_of(graph, "mask").inputs, ElementsAre("masking/Masking"));
  EXPECT_THAT(node_of(graph, "mask").outputs, ElementsAre(GraphDims{-1, kLength}));
  EXPECT_THAT(readers_of(graph, "mask"),
              ElementsAre("reflect/fill_masked", "reflect/self_attention", "reshape/fill_masked"));
  EXPECT_EQ(node_of(graph, "masking/Masking").notes.at("mask"), "makes");
  EXPECT_EQ(node_of(graph, "embed/embedding").notes.at("mask"), "keeps");
  EXPECT_EQ(node_of(graph, "reflect/Reflect").notes.at("mask"), "uses");
  EXPECT_EQ(node_of(graph, "reflect/Reflect").notes.at("mask_out"), "mask");
  EXPECT_EQ(node_of(graph, "reshape/Reshape").notes.at("mask"), "ends");
  EXPECT_EQ(node_of(graph, "reshape/Reshape").notes.count("mask_out"), 0U);
}

TEST(ModelGraph, ShowsAMaskThatIsDroppedWithoutAnOperation) {
  Subject subject(MaskAxis::kQuery);
  const ModelGraph graph = subject.graph();
  expect_sound(graph);
  EXPECT_THAT(readers_of(graph, "mask"), ElementsAre("reflect/Reflect"));
}

// A decoder on tokens whose mask comes with them.
struct DecoderSubject : Subject {
  explicit DecoderSubject(bool recompute = false) {
    net.add<Embed>("embed", 10, 8)
        .add<Decoder>(
            "decoder",
            TransformerOptions{
                .features = 8, .heads = 2, .layers = 2, .dropout = 0.5, .recompute = recompute})
        .pack(PackWhen::kAlways);
  }

  ModelGraph graph() {
    if (!parameters) parameters.emplace(net, DType::kFloat32, 1);
    const Model model = [this](const Batch& batch, Pass& pass) -> ModelOutput {
      const Variable tokens(batch.inputs, Variable::kConstant,
                            SequenceMask::from_tokens(batch.inputs, 0));
      return ops::cross_entropy(net(tokens, pass), batch.inputs);
    };
    return graph_of(model, *parameters, batch_of(3));
  }

  Sequential net;
};

TEST(ModelGraph, PutsBlocksWithinOneAnother) {
  DecoderSubject subject;
  const ModelGraph graph = subject.graph();
  expect_sound(graph);
  EXPECT_THAT(names_of(graph), Contains("decoder/block1/attention/self_attention"));
  EXPECT_EQ(node_of(graph, "decoder/block1/attention/MultiHeadAttention").notes.at("layer"),
            "decoder.block1.attention");
  EXPECT_THAT(node_of(graph, "decoder/block0/attention_dropout/Dropout").inputs,
              ElementsAre("decoder/block0/attention/MultiHeadAttention"))
      << "a layer that does nothing in inference is shown all the same";
  EXPECT_THAT(node_of(graph, "decoder/block0/add").inputs,
              ElementsAre("embed/Embed", "decoder/block0/attention_dropout/Dropout"))
      << "what goes around a branch";
  EXPECT_THAT(node_of(graph, "mask").inputs, ElementsAre("inputs"));
  EXPECT_EQ(node_of(graph, "pairs").notes.at("pattern"), "causal");
  EXPECT_THAT(readers_of(graph, "pairs"), ElementsAre("decoder/block0/attention/self_attention",
                                                      "decoder/block1/attention/self_attention"))
      << "all blocks share them";
  EXPECT_THAT(readers_of(graph, "mask"), Contains("cross_entropy"));
}

TEST(ModelGraph, TellsTwoMasksApartThatHappenToBeEqual) {
  const TransformerOptions options = {.features = 8, .heads = 2, .layers = 1};
  struct Both : Module {
    explicit Both(const TransformerOptions& o)
        : embed(submodule("embed", std::make_unique<Embed>(10, 8))),
          encoder(submodule("encoder", std::make_unique<Encoder>(o))),
          decoder(
              submodule("decoder", std::make_unique<Decoder>(o, DecoderBlock::Memory::kAttends))) {}
    Embed& embed;
    Encoder& encoder;
    Decoder& decoder;
  } both(options);
  const ParameterBuffer parameters(both, DType::kFloat32, 1);
  const auto tokens_of = [](const Tensor& tokens) {
    return Variable(tokens, Variable::kConstant, SequenceMask::from_tokens(tokens, 0));
  };
  const Model model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    const Variable memory = both.encoder(both.embed(tokens_of(batch.inputs), pass), pass);
    const Variable x = both.embed(tokens_of(batch["more"]), pass);
    return ops::cross_entropy(both.decoder.decode(x, memory, pass), batch["more"]);
  };
  Batch batch = batch_of(3);
  batch.others.push_back({"more", batch.inputs.clone()});
  const ModelGraph graph = graph_of(model, parameters, batch);
  expect_sound(graph);
  EXPECT_THAT(node_of(graph, "mask").inputs, ElementsAre("inputs"));
  EXPECT_THAT(node_of(graph, "mask_1").inputs, ElementsAre("more"));
  EXPECT_THAT(node_of(graph, "embed/embedding_1").inputs, ElementsAre("embed/weight", "more"));
  EXPECT_THAT(readers_of(graph, "mask"), Contains("encoder/block0/attention/self_attention"));
  EXPECT_THAT(readers_of(graph, "mask"), Contains("decoder/block0/memory/fill_masked"))
      << "the keys of the other sequence";
  EXPECT_THAT(readers_of(graph, "mask_1"), Contains("decoder/block0/memory/fill_masked_1"));
  EXPECT_THAT(readers_of(graph, "mask"), Not(Contains("cross_entropy")));
  EXPECT_THAT(readers_of(graph, "mask_1"), Contains("cross_entropy"));
}

TEST(ModelGraph, IsThatOfTheModelWhateverSavesTimeOrMemory) {
  DecoderSubject plain, recomputing(true);
  plain.net.pack(PackWhen::kNever);
  EXPECT_EQ(encode(plain.graph()), encode(recomputing.graph()));
}

TEST(ModelGraph, IsTheSameEachTimeAndLeavesNoTrace) {
  DecoderSubject subject, other;
  const ModelGraph first = subject.graph();
  const Tensor values = subject.parameters->values().clone();
  EXPECT_EQ(encode(first), encode(subject.graph()));
  EXPECT_EQ(encode(first), encode(other.graph()));
  EXPECT_TRUE(is_identical(values, subject.parameters->values()));
  for (const NamedLeaf& leaf : subject.parameters->leaves()) {
    EXPECT_EQ(leaf.leaf.gradient()->has_arrived(), false) << leaf.name;
  }
  EXPECT_EQ(Tape::current(), nullptr);
}

TEST(ModelGraph, RunsAModelThatOnlyTrains) {
  Subject subject;
  subject.parameters.emplace(subject.layers, DType::kFloat32, 1);
  const Model model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    const Variable logits = subject.layers(Variable(batch.inputs), pass);
    return ops::cross_entropy(ops::dropout(logits, 0.5, pass.random()), batch.targets);
  };
  const ModelGraph graph = graph_of(model, *subject.parameters, batch_of(2));
  EXPECT_THAT(names_of(graph), Contains("dropout"));
}

TEST(ModelGraph, NamesEachNodeOnce) {
  struct Odd : Layer {
    Odd() : Layer("A kind/of \xc3\xa9", MaskRule::kKeeps), w(parameter("w^2:x", {}, ones())) {}
    Variable forward(const Variable& x, Pass&) override {
      return ops::multiply(ops::multiply(x, w), w);
    }
    Parameter& w;
  };
  Odd odd;
  const ParameterBuffer parameters(odd, DType::kFloat64, 1);
  const Model model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    const Scope scope("mask");
    const Variable x(batch.inputs.to(DType::kFloat64));
    const Variable y = ops::multiply(odd(x, pass), odd(x, pass));
    return ops::mse(y, Variable(Tensor::zeros(y.shape(), DType::kFloat64)));
  };
  const ModelGraph graph = graph_of(model, parameters, batch_of(3));
  expect_sound(graph);
  EXPECT_THAT(names_of(graph), Contains("w_2_x"));
  EXPECT_THAT(names_of(graph), Contains("mask/multiply_4"));
  EXPECT_EQ(decode_graph(encode(graph)).nodes.size(), graph.nodes.size());
}

TEST(ModelGraph, TellsWhatTheModelThrows) {
  Subject subject;
  subject.parameters.emplace(subject.layers, DType::kFloat32, 1);
  const Model model = [&](const Batch&, Pass&) -> ModelOutput { fail("mine", "no"); };
  EXPECT_EQ(error_of([&] { graph_of(model, *subject.parameters, batch_of(2)); }), "[mine] no");
}

}  // namespace
}  // namespace maskgrad
