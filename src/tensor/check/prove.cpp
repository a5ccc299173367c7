#include <set>

#include <maskgrad/tensor/check/mask_path.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/print.hpp>

namespace maskgrad {
namespace {

using check_detail::MaskPath;
using check_detail::name_of;

// The first kept element that is marked; -1 where none is.
std::int64_t first_marked_kept(const Gradient& value, const Tensor& marks) {
  return first_marked(without_holes(marks, value.mask()));
}

// The first operation whose several kept elements are marked without exception.
std::string find_everywhere(const MarkedTape& marked) {
  const Tape& tape = marked.tape();
  for (const auto& [node, o, is_result] : outputs_of(tape)) {
    const Gradient& output = *tape.nodes()[node]->outputs()[o];
    const Tensor marks = marked.marks(output);
    std::int64_t kept = 0, kept_marked = 0;
    for (std::int64_t e = 0; e < marks.numel(); ++e) {
      if (is_hole(output.mask(), output.shape(), e)) continue;
      ++kept;
      kept_marked += marks.data<bool>()[e];
    }
    if (kept > 1 && kept == kept_marked) return name_of(tape, node);
  }
  return "";
}

void prove_results(const MarkedTape& marked, const MaskPath& path, MaskProof& proof) {
  const Tape& tape = marked.tape();
  for (const auto& [node, o, is_result] : outputs_of(tape)) {
    if (!is_result) continue;
    const Gradient& output = *tape.nodes()[node]->outputs()[o];
    ++proof.results;
    const std::int64_t place = first_marked_kept(output, marked.marks(output));
    if (place >= 0 && proof.path.empty()) proof.path = path.to_value(node, o, place);
  }
}

void prove_gradients(const MarkedTape& marked, const MaskPath& path, MaskProof& proof) {
  std::set<const Gradient*> seen;
  for (const Ref<Node>& node : marked.tape().nodes()) {
    for (const Ref<Gradient>& input : node->inputs()) {
      const bool is_leaf = input && input->is_leaf() && !input->is_constant();
      if (!is_leaf || !seen.insert(input.get()).second) continue;
      ++proof.gradients;
      const std::int64_t place = first_marked_kept(*input, marked.gradient_marks(*input));
      if (place >= 0 && proof.gradient_path.empty()) {
        proof.gradient_path = path.to_gradient(*input, place);
      }
    }
  }
}

}  // namespace

MaskProof prove_mask(const Tape& tape, std::span<const NamedLeaf> leaves) {
  check(tape.traces(), "prove_mask", "needs a tape that traces: Tape tape({{.trace = true}})");
  check(!tape.nodes().empty(), "prove_mask", "the tape has no operation: nothing to prove");
  MarkedTape marked(tape);
  marked.run(true);
  marked.run_back();
  const MaskPath path(marked, leaves);
  MaskProof proof{.operations = static_cast<std::int64_t>(tape.nodes().size())};
  prove_results(marked, path, proof);
  prove_gradients(marked, path, proof);
  if (!proof.path.empty()) proof.everywhere = find_everywhere(marked);
  return proof;
}

std::string to_string(const MaskProof& proof) {
  std::string text =
      fmt::format("{}, {}, {}: {}", count_of(proof.operations, "operation"),
                  count_of(proof.results, "result"), count_of(proof.gradients, "gradient"),
                  proof.holds()         ? "no masked place can reach a kept one"
                  : !proof.path.empty() ? "a masked place can reach a kept one"
                                        : "a masked place can reach a gradient");
  const std::vector<std::string>& steps = proof.path.empty() ? proof.gradient_path : proof.path;
  for (const std::string& step : steps) text += "\n  " + step;
  if (!proof.everywhere.empty()) {
    text +=
        fmt::format("\n  masked places take part in everything that {} gives", proof.everywhere);
  }
  return text;
}

}  // namespace maskgrad
