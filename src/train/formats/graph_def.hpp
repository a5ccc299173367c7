// The graph of a model as TensorBoard draws it: the protobuf message GraphDef.
//
//   GraphDef { repeated NodeDef node = 1; VersionDef versions = 4; }
//   VersionDef { int32 producer = 1; }
//   NodeDef { string name = 1; string op = 2; repeated string input = 3;
//             map<string, AttrValue> attr = 5; }
//   AttrValue { oneof value { ListValue list = 1; bytes s = 2; DataType type = 6;
//                             TensorShapeProto shape = 7; } }
//   ListValue { repeated TensorShapeProto shape = 7; }
//   TensorShapeProto { repeated Dim dim = 2; }
//   Dim { int64 size = 1; }
//
// Source: tensorflow/core/framework/{graph,node_def,attr_value,tensor_shape,types}.proto.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/tensor/dtype.hpp>

namespace maskgrad {

/// The sizes of a value. -1 stands for a size that depends on the batch.
using GraphDims = std::vector<std::int64_t>;

/// One node of a graph.
struct GraphNode {
  std::string name;  // "decoder/block0/attention/linear": TensorBoard draws what is before a slash
                     // as a box around
  std::string op;    // "linear"
  /// Names of the nodes that this one reads. "split:1" is output 1 of several. "^mask" is an edge
  /// that carries no value of the model; TensorBoard draws it as a dashed line.
  std::vector<std::string> inputs = {};
  std::optional<DType> dtype = {};                // of its first output
  std::vector<GraphDims> outputs = {};            // the sizes of each output
  std::map<std::string, std::string> notes = {};  // further attributes, as texts
};

/// The nodes of a graph. No two have one name, and what a node reads comes before it.
struct ModelGraph {
  std::vector<GraphNode> nodes;
};

/// The protobuf message. The attributes of a node are `_output_shapes` and `dtype`, `shape` for a
/// node that reads nothing, and its notes. Equal graphs give equal bytes.
std::string encode(const ModelGraph& graph);
/// Its inverse. It also reads graphs of other programs, and leaves out attributes of other types.
/// Throws Error "[protobuf] <where>: byte 12: truncated" for malformed bytes.
ModelGraph decode_graph(std::string_view bytes, std::string_view where = "graph");

}  // namespace maskgrad
