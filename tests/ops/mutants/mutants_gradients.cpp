// Operations whose gradients are right as long as everything is finite, and read what they say they
// do not.
#include "ops/mutants/mutant_families.hpp"

namespace maskgrad::test {
namespace {

// 0 times the sum of values: 0, or NaN.
double nothing_of(const Values& values) {
  double sum = 0;
  for (const double value : values) sum += 0 * value;
  return sum;
}

// The true gradient of `input`, plus 0 times each of the values that stands at the same place; all
// of them where the shapes differ.
std::function<Gradient(const OpCall&, const Tensor&)> also_reads(const std::string& op,
                                                                 const std::string& input,
                                                                 const std::string& values) {
  return [=](const OpCall& call, const Tensor& g) {
    Gradient gradient = true_gradient(op, call, g);
    const Tensor read = values == "output" ? true_output(op, call) : call.input(values).value();
    Tensor& changed = gradient.at(input);
    Values sums = to_doubles(changed);
    const Values more = to_doubles(read);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] += read.shape() == changed.shape() ? 0 * more[i] : nothing_of(more);
    }
    changed = make(sums, changed.shape(), changed.dtype());
    return gradient;
  };
}

// dweight = x^T g over all rows, those in holes too, where 0 arrives.
Gradient sums_over_holes(const OpCall& call, const Tensor& g, const char* op, const char* rows,
                         const char* weight) {
  Gradient gradient = true_gradient(op, call, g);
  const Variable &x = call.input(rows), &w = call.input(weight);
  if (w.rank() != 2 || x.rank() < 3 || w.dim(0) != x.dim(-1) || w.dim(1) != g.dim(-1)) {
    return gradient;
  }
  const Values in = to_doubles(x.value()), arriving = to_doubles(g);
  const auto k = static_cast<std::size_t>(w.dim(0)), n = static_cast<std::size_t>(w.dim(1));
  Values sums(k * n);
  for (std::size_t row = 0; row < in.size() / std::max<std::size_t>(1, k); ++row) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < n; ++j)
        sums[i * n + j] += in[row * k + i] * arriving[row * n + j];
    }
  }
  gradient[weight] = make(sums, w.shape(), w.dtype());
  return gradient;
}

// Without relu, which hides the rows that arrive.
OpCall without_relu(OpCall call) {
  call.args["relu"] = false;
  return call;
}

}  // namespace

std::vector<Mutant> mutants_of_gradients() {
  return {
      {"MatmulReadsTheHolesThatItLeavesOut",
       "matmul",
       {},
       [](const OpCall& call, const Tensor& g) {
         return sums_over_holes(call, g, "matmul", "a", "b");
       }},
      {"LinearReadsTheHolesThatItLeavesOut", "linear",
       [](const OpCall& call) { return true_output("linear", without_relu(call)); },
       [](const OpCall& call, const Tensor& g) {
         return sums_over_holes(without_relu(call), g, "linear", "x", "weight");
       }},
      {"LayerNormReadsHolesForItsWeight",
       "layer_norm",
       {},
       also_reads("layer_norm", "weight", "input")},
      {"LayerNormReadsItsInputForItsBias",
       "layer_norm",
       {},
       also_reads("layer_norm", "bias", "input")},
      {"AddReadsTheOtherInput", "add", {}, also_reads("add", "a", "b")},
      {"ScaleReadsItsInput", "scale", {}, also_reads("scale", "input", "input")},
      {"ReluMultipliesByItsOutput", "relu", {}, also_reads("relu", "input", "output")},
      {"MultiplyReadsWhatItDifferentiates", "multiply", {}, also_reads("multiply", "a", "a")},
      {"MaximumReadsTheOneThatLost", "maximum", {}, also_reads("maximum", "a", "b")},
      {"SumReadsItsInput", "sum", {}, also_reads("sum", "input", "input")},
      {"ReshapeReadsItsInput", "reshape", {}, also_reads("reshape", "input", "input")},
      {"EmbeddingReadsItsTable", "embedding", {}, also_reads("embedding", "weight", "weight")},
      {"MatmulReadsTheRowsThatItDifferentiates", "matmul", {}, also_reads("matmul", "a", "a")},
      {"StackedMatmulReadsAllWeightsForEach",
       "stacked_matmul",
       {},
       also_reads("stacked_matmul", "weight0", "weight1")},
      {"StackedLinearReadsItsInputForItsBiases",
       "stacked_linear",
       {},
       also_reads("stacked_linear", "bias1", "x")},
      {"SoftmaxReadsOtherRows",
       "softmax",
       {},
       [](const OpCall& call, const Tensor& g) {
         Gradient gradient = true_gradient("softmax", call, g);
         Tensor& dx = gradient.at("input");
         Values sums = to_doubles(dx);
         const double nothing = nothing_of(to_doubles(call.input("input").value()));
         for (double& sum : sums) sum += nothing;
         dx = make(sums, dx.shape(), dx.dtype());
         return gradient;
       }},
      {"KeepWhereReadsWhatItFilled", "keep_where", {}, also_reads("keep_where", "input", "input")},
      {"WhereReadsWhatItDifferentiates", "where", {}, also_reads("where", "a", "a")},
      {"WhereReadsTheOtherInput", "where", {}, also_reads("where", "b", "a")},
      {"ClipReadsWhatIsOutside", "clip", {}, also_reads("clip", "input", "input")},
      {"SliceReadsItsInput", "slice", {}, also_reads("slice", "input", "input")},
      {"GatherReadsItsInput", "gather", {}, also_reads("gather", "input", "input")},
      {"ConcatReadsItsParts", "concat", {}, also_reads("concat", "input0", "input0")},
  };
}

const bool kRegistered = register_mutants(mutants_of_gradients);

}  // namespace maskgrad::test
