#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include <maskgrad/train/report/model_outline.hpp>

namespace maskgrad {
namespace {

constexpr int kMostDepth = 32;

// A box that may still go into another one.
struct Part {
  OutlineBox box;
  std::string node;                // whose output is that of the box
  std::vector<std::string> reads;  // nodes, some of which are inside
  std::set<std::string> nodes;     // of the box
  int depth = 1;
};

std::string note(const GraphNode& node, const char* key) {
  const auto found = node.notes.find(key);
  return found == node.notes.end() ? "" : found->second;
}

std::string folder_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

std::string last_of(const std::string& path, char separator) {
  return path.substr(path.rfind(separator) + 1);  // npos + 1 is 0
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::ranges::count(names, name) == 0) names.push_back(name);
}

std::int64_t count(const GraphDims& dims) {
  std::int64_t product = 1;
  for (const std::int64_t size : dims) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) return 0;
  }
  return product;
}

// Graphs of other programs may count more than fits; then nothing is told.
void add_count(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum)) sum = 0;
}

class Outline {
 public:
  explicit Outline(const ModelGraph& graph) {
    for (const GraphNode& node : graph.nodes) add(node);
  }

  std::vector<OutlineBox> take() {
    std::vector<OutlineBox> model = finish(parts_, "");
    std::vector<OutlineBox> boxes;
    for (OutlineBox& box : batch_) {
      if (!named_.contains(box.name)) boxes.push_back(std::move(box));
    }
    std::ranges::move(model, std::back_inserter(boxes));
    return boxes;
  }

 private:
  void add(const GraphNode& node) {
    labels_[node.name] = last_of(node.name, '/');
    if (node.op == "Mask") {
      patterns_[node.name] = note(node, "pattern");
      is_pairs_[node.name] = !node.outputs.empty() && node.outputs[0].size() == 4;
      const auto carrier = std::ranges::find_if(batch_, [&](const OutlineBox& box) {
        return std::ranges::count(node.inputs, box.name) > 0;
      });
      if (carrier != batch_.end()) {
        carrier->mask = "makes";
        carrier->mask_out = node.name;
      }
    } else if (node.op == "VariableV2" || node.op == "Const") {
      if (node.op == "VariableV2") parameters_[folder_of(node.name)].push_back(&node);
      if (node.op == "Const") constants_.insert(node.name);
      sources_.insert(node.name);
    } else {
      OutlineBox box = box_of(node);
      if (node.op == "Placeholder") {
        batch_.push_back(std::move(box));
      } else {
        add_part(node, std::move(box));
      }
    }
  }

  static OutlineBox box_of(const GraphNode& node) {
    OutlineBox box;
    const std::string layer = note(node, "layer");
    box.is_layer = !layer.empty();
    box.name = box.is_layer ? last_of(layer, '.') : last_of(node.name, '/');
    box.kind = node.op;
    if (!node.outputs.empty()) box.output = node.outputs[0];
    box.mask = note(node, "mask");
    box.mask_in = note(node, "mask_in");
    box.mask_out = note(node, "mask_out");
    return box;
  }

  void add_part(const GraphNode& node, OutlineBox box) {
    Part part = {std::move(box), node.name, {}, {node.name}};
    for (const std::string& input : node.inputs) {
      if (!input.starts_with('^')) {
        const std::string read = input.substr(0, input.find(':'));
        if (!sources_.contains(read)) {
          part.reads.push_back(read);
        } else if (constants_.contains(read)) {
          add_once(part.box.constants, last_of(read, '/'));
        }
      } else if (is_pairs_[input.substr(1)]) {
        part.box.pairs.push_back(patterns_[input.substr(1)]);
      }
    }
    if (part.box.is_layer) take_inside(part, folder_of(node.name));
    labels_[node.name] = part.box.name;
    parts_.push_back(std::move(part));
  }

  // A layer's node comes behind all that is inside.
  void take_inside(Part& layer, const std::string& folder) {
    auto first = parts_.end();
    while (first != parts_.begin() && std::prev(first)->node.starts_with(folder + "/")) --first;
    std::vector<Part> inside(std::make_move_iterator(first), std::make_move_iterator(parts_.end()));
    parts_.erase(first, parts_.end());
    for (Part& part : inside) {
      layer.depth = std::max(layer.depth, part.depth + 1);
      layer.nodes.insert(part.nodes.begin(), part.nodes.end());
      layer.reads.insert(layer.reads.end(), part.reads.begin(), part.reads.end());
      add_count(layer.box.parameter_count, part.box.parameter_count);
      for (const std::string& pairs : part.box.pairs) add_once(layer.box.pairs, pairs);
      if (part.box.is_layer) continue;  // which tells them itself
      for (const std::string& name : part.box.constants) add_once(layer.box.constants, name);
    }
    const auto acts = [](const Part& part) {
      return !part.box.mask.empty() && part.box.mask != "keeps";
    };
    if (layer.box.mask.empty() && std::ranges::any_of(inside, acts)) layer.box.mask = "uses";
    std::erase_if(layer.reads, [&](const std::string& read) { return layer.nodes.contains(read); });
    // A layer that is called twice has its parameters once.
    for (const GraphNode* parameter : std::exchange(parameters_[folder], {})) {
      const GraphDims dims = parameter->outputs.empty() ? GraphDims() : parameter->outputs[0];
      layer.box.parameters.emplace_back(last_of(parameter->name, '/'), dims);
      add_count(layer.box.parameter_count, count(dims));
    }
    if (layer.depth <= kMostDepth) {
      const std::string from = inside.empty() || inside[0].reads.empty() ? "" : inside[0].reads[0];
      layer.box.inside = finish(inside, from);
    }
  }

  // `before` is the node whose output the first part gets.
  std::vector<OutlineBox> finish(std::vector<Part>& parts, std::string before) {
    std::vector<OutlineBox> boxes;
    for (Part& part : parts) {
      if (before.empty() && !part.reads.empty()) before = part.reads[0];
      for (const std::string& read : part.reads) {
        if (read == before) continue;
        const std::string& label = labels_[read];
        add_once(part.box.others, label);
        named_.insert(label);
      }
      part.box.reads_before = std::ranges::count(part.reads, before) > 0;
      before = part.node;
      boxes.push_back(std::move(part.box));
    }
    return boxes;
  }

  std::vector<OutlineBox> batch_;
  std::vector<Part> parts_;
  std::set<std::string> sources_;  // parameters and constants, which are no boxes
  std::set<std::string> constants_;
  std::set<std::string> named_;  // among the others of some box
  std::map<std::string, std::string> labels_, patterns_;
  std::map<std::string, bool> is_pairs_;
  std::map<std::string, std::vector<const GraphNode*>> parameters_;  // by folder
};

}  // namespace

std::int64_t parameter_count(const ModelGraph& graph) {
  std::int64_t sum = 0;
  for (const GraphNode& node : graph.nodes) {
    if (node.op == "VariableV2" && !node.outputs.empty()) add_count(sum, count(node.outputs[0]));
  }
  return sum;
}

std::vector<OutlineBox> outline_of(const ModelGraph& graph) { return Outline(graph).take(); }

}  // namespace maskgrad
