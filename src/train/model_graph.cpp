#include <algorithm>
#include <optional>
#include <vector>

#include <maskgrad/train/graph_recorder.hpp>
#include <maskgrad/train/model_graph.hpp>

namespace maskgrad {
namespace {

ModelGraph record(const Model& model, const ParameterBuffer& parameters, const Batch& batch,
                  Pass pass) {
  GraphRecorder recorder(parameters, batch);
  const Tape tape({.observer = &recorder, .trace = true});
  model(batch, pass);
  return recorder.take();
}

// In inference where the model can: then no layer leaves out elements at random.
ModelGraph record(const Model& model, const ParameterBuffer& parameters, const Batch& batch) {
  try {
    return record(model, parameters, batch, Pass::unpacked());
  } catch (const Error&) {
    return record(model, parameters, batch, Pass::training(0, 0));
  }
}

bool have_same_nodes(const ModelGraph& a, const ModelGraph& b) {
  return std::ranges::equal(a.nodes, b.nodes, [](const GraphNode& x, const GraphNode& y) {
    return x.name == y.name && x.op == y.op && x.inputs == y.inputs;
  });
}

// Sizes that differ from those of a graph of the same nodes are not fixed.
void free_sizes(ModelGraph& graph, const ModelGraph& other) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const std::vector<GraphDims>& outputs = other.nodes[n].outputs;
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      GraphDims& dims = graph.nodes[n].outputs[o];
      for (std::size_t i = 0; i < dims.size() && dims.size() == outputs[o].size(); ++i) {
        if (dims[i] != outputs[o][i]) dims[i] = -1;
      }
    }
  }
}

// A batch may hold tensors that have no row for each sample. Then it cannot be cut.
std::optional<Batch> first_samples(const Batch& batch, std::int64_t count) {
  try {
    return batch.part(0, count);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

ModelGraph graph_of(const Model& model, const ParameterBuffer& parameters, const Batch& batch) {
  const auto one = first_samples(batch, 1), two = first_samples(batch, 2);
  if (!one || !two) return record(model, parameters, batch);
  ModelGraph graph = record(model, parameters, *two);
  const ModelGraph smaller = record(model, parameters, *one);
  if (have_same_nodes(graph, smaller)) free_sizes(graph, smaller);
  return graph;
}

}  // namespace maskgrad
