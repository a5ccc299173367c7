#include <algorithm>
#include <set>

#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>

namespace maskgrad {
namespace {

void mark_holes(Tensor& marks, const SequenceMask& mask) {
  if (mask.defined()) fill_holes(marks, mask, 1.0);
}

bool is_hole(const GradSlot& slot, std::int64_t element) {
  return maskgrad::is_hole(slot.mask, slot.shape, element);
}

// The first kept element that is marked; -1 where none is.
std::int64_t first_marked_kept(const GradSlot& slot, const Tensor& marks) {
  for (std::int64_t i = 0; i < marks.numel(); ++i) {
    if (marks.data<bool>()[i] && !is_hole(slot, i)) return i;
  }
  return -1;
}

// The first marked element of an input on which element `place` of the output can depend, found by
// halving; -1 where there is none.
std::int64_t find_source(const Node& node, std::size_t input, const Tensor& marks,
                         std::int64_t place) {
  const auto reaches = [&](std::int64_t begin, std::int64_t end) {
    Tensor part = Tensor::zeros(marks.shape(), DType::kBool);
    std::copy(marks.data<bool>() + begin, marks.data<bool>() + end, part.data<bool>() + begin);
    return any(part) && node.reached(input, part).data<bool>()[place];
  };
  std::int64_t begin = 0, end = marks.numel();
  if (!reaches(begin, end)) return -1;
  while (end - begin > 1) {
    const std::int64_t middle = begin + (end - begin) / 2;
    (reaches(begin, middle) ? end : begin) = middle;
  }
  return begin;
}

// "softmax in layer 'reflect'"
std::string name_of(const Tape& tape, std::size_t node) {
  const std::string& layer = tape.scope(node);
  return tape.nodes()[node]->op().name +
         (layer.empty() ? "" : fmt::format(" in layer '{}'", layer));
}

std::string describe(const Tape& tape, std::size_t node, std::int64_t place) {
  return fmt::format("{} gives element {} of {}", name_of(tape, node), place,
                     tape.nodes()[node]->output()->shape);
}

// The first operation whose several kept elements are marked without exception.
std::string find_everywhere(const Tape& tape, const MarkedTape& marked) {
  for (std::size_t i = 0; i < tape.nodes().size(); ++i) {
    const GradSlot& output = *tape.nodes()[i]->output();
    const Tensor marks = marked.marks(output);
    std::int64_t kept = 0, kept_marked = 0;
    for (std::int64_t e = 0; e < marks.numel(); ++e) {
      if (is_hole(output, e)) continue;
      ++kept;
      kept_marked += marks.data<bool>()[e];
    }
    if (kept > 1 && kept == kept_marked) return name_of(tape, i);
  }
  return "";
}

// Goes back from a marked element to the masked one it can depend on.
class Path {
 public:
  Path(const Tape& tape, const MarkedTape& marked) : tape_(tape), marked_(marked) {}

  std::vector<std::string> to(std::size_t node, std::int64_t place) {
    std::vector<std::string> steps;
    for (;;) {
      steps.push_back(describe(tape_, node, place));
      const auto [slot, from] = source(*tape_.nodes()[node], place);
      if (!slot) break;
      const bool stop = is_hole(*slot, from);
      const std::size_t maker = maker_of(*slot, node);
      if (stop || maker == node) {
        steps.push_back(
            fmt::format("element {} of {} is masked{}", from, slot->shape,
                        maker == node ? "" : ", from " + tape_.nodes()[maker]->op().name));
        break;
      }
      node = maker, place = from;
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

 private:
  std::pair<const GradSlot*, std::int64_t> source(const Node& node, std::int64_t place) const {
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const GradSlot* slot = node.inputs()[i].get();
      if (!slot) continue;
      const std::int64_t from = find_source(node, i, marked_.marks(*slot), place);
      if (from >= 0) return {slot, from};
    }
    return {nullptr, -1};
  }

  // The node before `user` that made a value; `user` itself for a leaf.
  std::size_t maker_of(const GradSlot& slot, std::size_t user) const {
    for (std::size_t i = user; i-- > 0;) {
      if (tape_.nodes()[i]->output().get() == &slot) return i;
    }
    return user;
  }

  const Tape& tape_;
  const MarkedTape& marked_;
};

}  // namespace

void MarkedTape::mark(const Variable& leaf, const Tensor& marks) {
  check_given(leaf.defined() && marks.defined(), "prove_mask", "a leaf or its marks");
  check(leaf.slot().get() != nullptr, "prove_mask", "a constant takes no marks");
  marks_[leaf.slot().get()] = marks;
}

Tensor MarkedTape::marks(const GradSlot& slot) const {
  const auto found = marks_.find(&slot);
  return found != marks_.end() ? found->second : Tensor::zeros(slot.shape, DType::kBool);
}

void MarkedTape::run(bool holes) {
  for (const Ref<Node>& node : tape_.nodes()) {
    Tensor marks = Tensor::zeros(node->output()->shape, DType::kBool);
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      const GradSlot* slot = node->inputs()[i].get();
      if (!slot) continue;
      Tensor of_input = this->marks(*slot).clone();
      if (holes) mark_holes(of_input, slot->mask);
      if (any(of_input)) marks = either(marks, node->reached(i, of_input));
      marks_[slot] = of_input;
    }
    if (holes) mark_holes(marks, node->output()->mask);
    marks_[node->output().get()] = marks;
  }
}

MaskProof prove_mask(const Tape& tape) {
  check(tape.traces(), "prove_mask", "needs a tape that traces: Tape tape({{.trace = true}})");
  MarkedTape marked(tape);
  marked.run(true);
  std::set<const GradSlot*> read;
  for (const Ref<Node>& node : tape.nodes()) {
    for (const Ref<GradSlot>& input : node->inputs()) read.insert(input.get());
  }
  MaskProof proof{.operations = static_cast<std::int64_t>(tape.nodes().size())};
  for (std::size_t i = 0; i < tape.nodes().size(); ++i) {
    const GradSlot& output = *tape.nodes()[i]->output();
    if (read.contains(&output)) continue;
    ++proof.results;
    const std::int64_t place = first_marked_kept(output, marked.marks(output));
    if (place >= 0 && proof.path.empty()) proof.path = Path(tape, marked).to(i, place);
  }
  if (!proof.holds()) proof.everywhere = find_everywhere(tape, marked);
  return proof;
}

std::string to_string(const MaskProof& proof) {
  std::string text = fmt::format("{} operations, {} result{}: {}", proof.operations, proof.results,
                                 proof.results == 1 ? "" : "s",
                                 proof.holds() ? "no masked place can reach a kept one"
                                               : "a masked place can reach a kept one");
  for (const std::string& step : proof.path) text += "\n  " + step;
  if (!proof.everywhere.empty()) {
    text +=
        fmt::format("\n  masked places take part in everything that {} gives", proof.everywhere);
  }
  return text;
}

}  // namespace maskgrad
