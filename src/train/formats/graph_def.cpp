#include <array>
#include <utility>

#include <maskgrad/train/formats/graph_def.hpp>
#include <maskgrad/train/formats/protobuf.hpp>

namespace maskgrad {
namespace {

// Fields of AttrValue; the shapes of a ListValue have the number of the single one.
constexpr std::uint32_t kList = 1, kText = 2, kType = 6, kShape = 7;
constexpr const char* kOutputShapes = "_output_shapes";
constexpr const char* kDType = "dtype";

// In the order of DType: DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64, DT_BOOL.
constexpr std::array<std::int64_t, 5> kDataTypes = {1, 2, 3, 9, 10};

std::optional<DType> dtype_of_number(std::int64_t number) {
  for (std::size_t i = 0; i < kDataTypes.size(); ++i) {
    if (kDataTypes[i] == number) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string encode_dims(const GraphDims& dims) {
  WireWriter out;
  for (const std::int64_t size : dims) {
    WireWriter dim;
    if (size != 0) dim.add_int64(1, size);
    out.add_bytes(2, dim.bytes());
  }
  return out.bytes();
}

// The messages AttrValue of a node by their names.
std::map<std::string, std::string> attributes_of(const GraphNode& node) {
  std::map<std::string, std::string> attributes;
  for (const auto& [key, text] : node.notes) {
    WireWriter value;
    value.add_bytes(kText, text);
    attributes[key] = value.bytes();
  }
  WireWriter list, shapes;
  for (const GraphDims& dims : node.outputs) list.add_bytes(kShape, encode_dims(dims));
  shapes.add_bytes(kList, list.bytes());
  attributes[kOutputShapes] = shapes.bytes();
  if (node.dtype) {
    WireWriter type;
    type.add_int64(kType, kDataTypes.at(static_cast<std::size_t>(*node.dtype)));
    attributes[kDType] = type.bytes();
  }
  if (node.inputs.empty() && node.outputs.size() == 1) {
    WireWriter shape;
    shape.add_bytes(kShape, encode_dims(node.outputs[0]));
    attributes["shape"] = shape.bytes();
  }
  return attributes;
}

std::string encode(const GraphNode& node) {
  WireWriter out;
  out.add_bytes(1, node.name);
  out.add_bytes(2, node.op);
  for (const std::string& input : node.inputs) out.add_bytes(3, input);
  for (const auto& [key, value] : attributes_of(node)) {
    WireWriter entry;
    entry.add_bytes(1, key);
    entry.add_bytes(2, value);
    out.add_bytes(5, entry.bytes());
  }
  return out.bytes();
}

GraphDims decode_dims(WireReader reader) {
  GraphDims dims;
  while (reader.next()) {
    if (!reader.is(2, WireType::kBytes)) continue;
    std::int64_t size = 0;
    for (WireReader dim = reader.message(); dim.next();) {
      if (dim.is(1, WireType::kVarint)) size = dim.int64();
    }
    dims.push_back(size);
  }
  return dims;
}

void decode_attribute(GraphNode& node, const std::string& key, WireReader value) {
  while (value.next()) {
    if (value.is(kText, WireType::kBytes)) {
      node.notes[key] = value.string();
    } else if (value.is(kType, WireType::kVarint) && key == kDType) {
      node.dtype = dtype_of_number(value.int64());
    } else if (value.is(kList, WireType::kBytes) && key == kOutputShapes) {
      for (WireReader list = value.message(); list.next();) {
        if (list.is(kShape, WireType::kBytes)) node.outputs.push_back(decode_dims(list.message()));
      }
    }
  }
}

void decode_entry(GraphNode& node, WireReader entry) {
  std::string key;
  while (entry.next()) {
    if (entry.is(1, WireType::kBytes)) key = entry.string();
    if (entry.is(2, WireType::kBytes)) decode_attribute(node, key, entry.message());
  }
}

GraphNode decode_node(WireReader reader) {
  GraphNode node;
  while (reader.next()) {
    if (reader.is(1, WireType::kBytes)) {
      node.name = reader.string();
    } else if (reader.is(2, WireType::kBytes)) {
      node.op = reader.string();
    } else if (reader.is(3, WireType::kBytes)) {
      node.inputs.push_back(reader.string());
    } else if (reader.is(5, WireType::kBytes)) {
      decode_entry(node, reader.message());
    }
  }
  return node;
}

}  // namespace

std::string encode(const ModelGraph& graph) {
  constexpr std::int64_t kProducer = 22;  // as PyTorch's SummaryWriter gives it
  WireWriter out, versions;
  for (const GraphNode& node : graph.nodes) out.add_bytes(1, encode(node));
  versions.add_int64(1, kProducer);
  out.add_bytes(4, versions.bytes());
  return out.bytes();
}

ModelGraph decode_graph(std::string_view bytes, std::string_view where) {
  ModelGraph graph;
  WireReader reader(bytes, where);
  while (reader.next()) {
    if (reader.is(1, WireType::kBytes)) graph.nodes.push_back(decode_node(reader.message()));
  }
  return graph;
}

}  // namespace maskgrad
