// Operations that read another mask, and those that move rows to the wrong place.
#include <cmath>

#include "ops/mutants/mutant_families.hpp"

namespace maskgrad::test {
namespace {

// The mask of an operation that reduces, with every bit set.
OpCall unmasked(OpCall call) {
  if (!call.has("mask")) return call;
  const Tensor mask = call.input("mask").value();
  call.inputs["mask"] = Variable(Tensor::full(mask.shape(), 1, DType::kBool));
  return call;
}

// The same call with its mask moved by one place.
OpCall shifted(OpCall call) {
  if (!call.has("mask")) return call;
  const Tensor mask = call.input("mask").value();
  Tensor moved = mask.clone();
  for (std::int64_t i = 0; i < mask.numel(); ++i) {
    moved.data<bool>()[i] = mask.data<bool>()[(i + 1) % mask.numel()];
  }
  call.inputs["mask"] = Variable(moved);
  return call;
}

// Rows moved: the gradient comes back in another order.
Gradient rolled(Gradient gradient) {
  for (auto& [name, g] : gradient) {
    const std::int64_t rows = g.dim(0);
    if (rows < 2) continue;
    const std::size_t row = g.nbytes() / static_cast<std::size_t>(rows);
    Tensor moved = g.clone();
    std::rotate(moved.raw_data(), moved.raw_data() + row, moved.raw_data() + g.nbytes());
    g = moved;
  }
  return gradient;
}

}  // namespace

std::vector<Mutant> mutants_with_another_mask(const std::string& op) {
  const auto title = [](std::string name) {
    std::string text;
    bool upper = true;
    for (const char c : name) {
      if (c != '_') text += upper ? static_cast<char>(std::toupper(c)) : c;
      upper = c == '_';
    }
    return text;
  };
  const auto forward = [=](OpCall (*other)(OpCall)) {
    return [=](const OpCall& call) { return true_output(op, other(call)); };
  };
  const auto backward = [=](OpCall (*other)(OpCall)) {
    return [=](const OpCall& call, const Tensor& g) { return true_gradient(op, other(call), g); };
  };
  return {{title(op) + "ReadsAll", op, forward(unmasked), {}},
          {title(op) + "ShiftsItsMask", op, forward(shifted), {}},
          {title(op) + "SendsBackToAll", op, {}, backward(unmasked)},
          {title(op) + "ShiftsItsMaskOnTheWayBack", op, {}, backward(shifted)}};
}

std::vector<Mutant> mutants_of_moved_rows() {
  std::vector<Mutant> found;
  for (const auto& [name, op] : std::map<std::string, std::string>{
           {"BooleanMaskPutsGradientsElsewhere", "boolean_mask"},
           {"BooleanUnmaskTakesGradientsElsewhere", "boolean_unmask"},
           {"UnmaskFillTakesGradientsElsewhere", "unmask_fill"}}) {
    found.push_back({name, op, {}, [op = op](const OpCall& call, const Tensor& g) {
                       return rolled(true_gradient(op, call, g));
                     }});
  }
  found.push_back({"ReversePackedSegsDoesNotTurnBack",
                   "reverse_packed_segs",
                   {},
                   [](const OpCall&, const Tensor& g) {
                     return Gradient{{"data", g.clone()}};
                   }});
  found.push_back(
      {"ReversePackedSegsTurnsPaddingToo", "reverse_packed_segs", [](const OpCall& call) {
         OpCall whole = call;
         const Variable& data = call.input("data");
         const std::int64_t steps = data.dim(call.has("batch_first") ? 1 : 0);
         const bool first = call.args.contains("batch_first") && call.arg<bool>("batch_first");
         whole.inputs["lengths"] = Variable(
             Tensor::full(call.input("lengths").shape(),
                          static_cast<double>(first ? data.dim(1) : steps), DType::kInt64));
         return true_output("reverse_packed_segs", whole);
       }});
  found.push_back(
      {"SequenceMaskForgetsItsGradient", "sequence_mask", {}, [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }});
  found.push_back(
      {"DropoutForgetsWhatItDropped", "dropout", {}, [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }});
  return found;
}

const bool kRegistered = register_mutants(mutants_of_moved_rows);

}  // namespace maskgrad::test
