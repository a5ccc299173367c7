#include <gmock/gmock.h>

#include <maskgrad/train/formats/graph_def.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::from_hex;
using test::ScratchFolder;

// SerializeToString(deterministic=True) of a tf.compat.v1.GraphDef with the nodes of sample().
constexpr const char* kTensorFlows =
    "0a690a06696e70757473120b506c616365686f6c6465722a270a0e5f6f75747075745f73686170657312150a"
    "133a11120b08ffffffffffffffffff01120208142a0b0a056474797065120230092a1c0a0573686170651213"
    "3a11120b08ffffffffffffffffff01120208140a5e0a0c656d6265642f776569676874120a5661726961626c"
    "6556322a1f0a0e5f6f75747075745f736861706573120d0a0b3a0912020814120308ac022a0b0a0564747970"
    "65120230012a140a057368617065120b3a0912020814120308ac020a4a0a046d61736b12044d61736b1a0669"
    "6e707574732a270a0e5f6f75747075745f73686170657312150a133a11120b08ffffffffffffffffff011202"
    "08142a0b0a0564747970651202300a0a84010a0f656d6265642f656d62656464696e671209656d6265646469"
    "6e671a0c656d6265642f7765696768741a06696e707574731a055e6d61736b2a2c0a0e5f6f75747075745f73"
    "6861706573121a0a183a16120b08ffffffffffffffffff0112020814120308ac022a0b0a0564747970651202"
    "30022a0e0a046d61736b12061204757365730a4c0a0573706c6974120573706c69741a0f656d6265642f656d"
    "62656464696e672a1e0a0e5f6f75747075745f736861706573120c0a0a3a003a061200120208032a0b0a0564"
    "74797065120230030a290a03656e64120373756d1a0773706c69743a312a140a0e5f6f75747075745f736861"
    "70657312020a0022020816";

ModelGraph sample() {
  return {{{.name = "inputs", .op = "Placeholder", .dtype = DType::kInt64, .outputs = {{-1, 20}}},
           {.name = "embed/weight",
            .op = "VariableV2",
            .dtype = DType::kFloat32,
            .outputs = {{20, 300}}},
           {.name = "mask",
            .op = "Mask",
            .inputs = {"inputs"},
            .dtype = DType::kBool,
            .outputs = {{-1, 20}}},
           {.name = "embed/embedding",
            .op = "embedding",
            .inputs = {"embed/weight", "inputs", "^mask"},
            .dtype = DType::kFloat64,
            .outputs = {{-1, 20, 300}},
            .notes = {{"mask", "uses"}}},
           {.name = "split",
            .op = "split",
            .inputs = {"embed/embedding"},
            .dtype = DType::kInt32,
            .outputs = {{}, {0, 3}}},
           {.name = "end", .op = "sum", .inputs = {"split:1"}}}};
}

TEST(GraphDef, HasTensorFlowsBytes) { EXPECT_EQ(encode(sample()), from_hex(kTensorFlows)); }

TEST(GraphDef, IsReadAsTensorFlowWroteIt) {
  const ModelGraph expected = sample(), graph = decode_graph(from_hex(kTensorFlows));
  ASSERT_EQ(graph.nodes.size(), expected.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode &node = graph.nodes[i], &other = expected.nodes[i];
    EXPECT_EQ(node.name, other.name);
    EXPECT_EQ(node.op, other.op) << node.name;
    EXPECT_EQ(node.inputs, other.inputs) << node.name;
    EXPECT_EQ(node.dtype, other.dtype) << node.name;
    EXPECT_EQ(node.outputs, other.outputs) << node.name;
    EXPECT_EQ(node.notes, other.notes) << node.name;
  }
}

// TensorFlow's bytes for a Const of 1.5 that claims to be a half: a device, a tensor, a dtype that
// is none here.
TEST(GraphDef, LeavesOutWhatItDoesNotKnow) {
  const ModelGraph graph = decode_graph(
      from_hex("0a320a01631205436f6e737422022f642a0b0a056474797065120230132a150a0576616c7565120c42"
               "0a080112002a040000c03f"));
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(graph.nodes[0].name, "c");
  EXPECT_EQ(graph.nodes[0].dtype, std::nullopt);
  EXPECT_TRUE(graph.nodes[0].outputs.empty());
  EXPECT_TRUE(graph.nodes[0].notes.empty());
}

TEST(GraphDef, SaysWhereItsBytesAreTorn) {
  const std::string bytes = from_hex(kTensorFlows);
  EXPECT_EQ(error_of([&] { decode_graph(std::string_view(bytes).substr(0, 40), "'x'"); }),
            "[protobuf] 'x': byte 2: truncated");
}

TEST(GraphDef, StandsInAnEventAsTensorFlowWritesIt) {
  const std::string graph = from_hex(kTensorFlows);
  const std::string event = encode(Event{.graph_def = graph});
  EXPECT_EQ(event.substr(9), from_hex("229b04") + graph) << "field 4 of Event, 539 bytes";
  EXPECT_EQ(decode_event(event).graph_def, graph);
  const std::string summary = encode(Event{.values = {{"loss", 1.0F}}});
  EXPECT_EQ(decode_event(event + summary).graph_def, "") << "of a oneof the last counts";
  EXPECT_TRUE(decode_event(summary + event).values.empty());
}

TEST(GraphDef, IsFoundAmongTheFirstEventsOfAFile) {
  const ScratchFolder folder;
  const std::string graph = encode(sample());
  EventWriter with(folder.path()), restarted(folder.path()), without(folder.path());
  with.add_graph(graph);
  restarted.add_restart(3);
  restarted.add_graph(graph);
  without.add_scalar("loss", 1, 1.0F);
  without.flush();
  EXPECT_TRUE(begins_with_graph(with.path()));
  EXPECT_TRUE(begins_with_graph(restarted.path()));
  EXPECT_FALSE(begins_with_graph(without.path()));
  EXPECT_EQ(read_events(with.path()).events.at(1).graph_def, graph);
}

}  // namespace
}  // namespace maskgrad
