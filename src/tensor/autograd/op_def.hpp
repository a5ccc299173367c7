// The description of an operation, and the registry of all of them.
//
// An operation is described once, in a block beside its kernel. The command line (`maskgrad ops`,
// `run-op`), the gradient check, the mask checks and the device tests are all derived from it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <maskgrad/tensor/autograd/reach.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad {

/// The dtypes an input may have.
enum class DTypes : std::uint8_t { kFloating, kInteger, kBool, kAny };
bool contains(DTypes set, DType dtype);
/// "float32, float64" and so on.
std::string to_string(DTypes set);

/// Which values the gradient of an input reads, besides the gradient that arrives:
///   da = g b   .gradient = Reads{"b"}
/// Place p of the gradient is taken to read place q of such a value where some place of the output
/// depends on both. A gradient that is 0 wherever 0 arrives, whatever the values are, reads
/// nothing: that of a sum or of a choice. check_op() tests what is declared here.
class Reads {
 public:
  /// Reads these inputs and outputs, by name.
  Reads(std::initializer_list<const char*> names) : names_(names.begin(), names.end()) {}
  static Reads nothing() { return {}; }
  /// Reads every input and output. This holds for any gradient, but the proof finds less with it.
  static Reads everything();

  /// The same names, but nothing is read at positions that the mask of the output leaves out.
  Reads outside_holes() const;

  const std::vector<std::string>& names() const { return names_; }
  bool covers(const std::string& name) const;
  bool leaves_out_holes() const { return leaves_out_holes_; }

 private:
  std::vector<std::string> names_;
  bool everything_ = false, leaves_out_holes_ = false;
};

/// The description of one input.
struct InputSpec {
  std::string name;
  Reach reach = Reach::kUnset;
  Reads gradient = Reads::everything();
  DTypes dtypes = DTypes::kFloating;
  bool differentiable = true;
  bool optional = false;
  /// Stands for any number of inputs, also none: name0, name1, ... A repeated input comes last.
  bool repeated = false;

  /// Whether the gradient reads nothing in holes. True when `gradient` declares it, and for an
  /// input aligned with the output, as the tape drops what its rule makes of holes.
  bool leaves_out_holes() const { return reach == Reach::kElement || gradient.leaves_out_holes(); }
};

/// The value of an argument. A Scalar is for a number that is written to values of any dtype, such
/// as a fill.
using ArgValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, Scalar>;
struct ArgSpec {
  std::string name;
  ArgValue fallback;  // the default, which also fixes the argument's type
};

/// Inputs and arguments by name, as `run-op` and the registry's tests pass them.
struct OpCall {
  std::map<std::string, Variable> inputs;
  std::map<std::string, ArgValue> args;

  const Variable& input(const std::string& name) const { return inputs.at(name); }
  bool has(const std::string& name) const { return inputs.contains(name); }
  /// The inputs name0, name1, ... in order.
  std::vector<Variable> repeated(const std::string& name) const;
  template <class T>
  const T& arg(const std::string& name) const {
    return std::get<T>(args.at(name));
  }
};

/// Valid inputs for the registry's tests, drawn from `random`, floating ones in float64.
struct OpSample {
  std::map<std::string, Tensor> inputs;
  std::map<std::string, ArgValue> args = {};
};

struct OpDef {
  std::string name;
  std::string summary;  // one line
  std::vector<InputSpec> inputs;
  std::vector<ArgSpec> args = {};
  std::vector<std::string> outputs = {"output"};
  bool repeats_outputs = false;  // any number of the only one, from none: part0, part1, ...
  MaskRule mask_rule = MaskRule::kUnset;
  /// Its gradient stands in for a slope that says nothing, such as that of a step. check_op() does
  /// not compare it with differences.
  bool has_stand_in_gradient = false;
  std::function<std::vector<Variable>(const OpCall&)> call;
  std::function<std::vector<OpSample>(Random& random)> samples;

  bool has_gradient() const;
  /// The description of the input called `name`, or nullptr when there is none. `name` may be that
  /// of a repeated input: "mask2".
  const InputSpec* find_input(const std::string& name) const;
  /// The description and the name ("weight2") of the input that record() gets as number i. Repeated
  /// ones come in turn: weight0, bias0, weight1, bias1. Throw Error when there is none.
  const InputSpec& recorded(std::size_t i) const;
  std::string recorded_name(std::size_t i) const;
  /// Whether recorded input i is aligned with the output under broadcasting.
  bool is_elementwise(std::size_t i) const { return recorded(i).reach == Reach::kElement; }
  /// The name of output i: "output", or "part3" of repeated ones.
  std::string output_name(std::size_t i) const;
};

/// Adds an operation to the registry. Called once for each, by the initialiser of a constant:
///   const OpDef& kRelu = register_op({.name = "relu", ...});
/// The reference stays valid for the program's life. Throws Error when the name is taken, and for
/// an input whose reach has a signature that is none.
const OpDef& register_op(OpDef op);

/// All operations by name.
const std::map<std::string, OpDef>& registry();
/// The operation called `name`. Throws Error "[name] is no operation; did you mean 'relu'?" when
/// there is none.
const OpDef& find_op(const std::string& name);

/// Runs an operation by its description: fills in default arguments, then calls it. The outputs
/// come in the order of op.outputs. An integer may be given for a real argument, and any number for
/// a Scalar.
/// Throws Error that names an input which is missing, unknown, without a value or of a wrong dtype,
/// and an argument which is unknown, of a wrong type, or a number that does not fit. Throws Error
/// as the operation does, and for an OpDef without a function to call.
std::vector<Variable> run_op(const OpDef& op, OpCall call);

}  // namespace maskgrad
