// A model as boxes within boxes, from its graph.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/train/formats/graph_def.hpp>

namespace maskgrad {

/// A layer, or an operation outside of the layers, and what is inside.
struct OutlineBox {
  std::string name;  // the last part of its path: "attention"
  std::string kind;  // "MultiHeadAttention", "add", "Placeholder"
  bool is_layer = false;
  GraphDims output;
  /// What it does with a mask: "makes", "keeps", "uses", "changes", "ends"; "" for none.
  std::string mask;
  std::string mask_in, mask_out;       // names of masks, "" for none
  std::vector<std::string> pairs;      // masks of pairs that it uses: "causal"
  std::vector<std::string> others;     // what it reads besides the output of the box before
  bool reads_before = true;            // whether it reads that
  std::vector<std::string> constants;  // values that it reads and no operation made
  /// Its own parameters and their sizes, and how many elements it has with those inside.
  std::vector<std::pair<std::string, GraphDims>> parameters;
  std::int64_t parameter_count = 0;
  std::vector<OutlineBox> inside;
};

/// The boxes in the order in which the model runs. The first are the tensors of the batch that no
/// box names among `others`. Layers within more than 32 others are left out. Takes any graph, also
/// one that graph_of() would not make.
std::vector<OutlineBox> outline_of(const ModelGraph& graph);

/// Elements in all parameters of a graph.
std::int64_t parameter_count(const ModelGraph& graph);

}  // namespace maskgrad
