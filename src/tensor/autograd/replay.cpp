#include <map>
#include <optional>

#include <maskgrad/tensor/autograd/replay.hpp>

namespace maskgrad {
namespace {

// What the last parameter of record() is to hold: "its last parameter must hold {"beta", beta}".
std::string what_to_tell(const OpDef& op) {
  std::string all;
  for (const auto& arg : op.args) {
    all += fmt::format("{}{{\"{}\", {}}}", all.empty() ? "" : ", ", arg.name, arg.name);
  }
  const char* const kInputs = "inputs that are no variables";
  return fmt::format("its last parameter must hold {}",
                     all.empty() ? kInputs : fmt::format("{{{}}}, and {}", all, kInputs));
}

class Replay {
 public:
  explicit Replay(std::span<const Replacement> replacements) : replacements_(replacements) {
    is_read_.resize(replacements.size());
    for (const auto& [recorded, instead] : replacements) {
      check_given(recorded.defined() && instead.defined(), "replay", "a replacement");
      check(recorded.dtype() == instead.dtype(), "replay", "a replacement is {}, not {}",
            to_string(instead.dtype()), to_string(recorded.dtype()));
    }
  }

  void run(const Node& node, const std::string& layer) {
    check(node.call() != nullptr, "replay",
          "{}{} did not tell record() all that it was called with: {}", node.op().name,
          layer.empty() ? "" : " in layer '" + layer + "'", what_to_tell(node.op()));
    OpCall call = *node.call();
    for (auto& [name, input] : call.inputs) input = now(input);
    const std::vector<Variable> outputs = run_op(node.op(), std::move(call));
    for (std::size_t o = 0; o < node.outputs().size(); ++o) {
      made_.insert_or_assign(node.outputs()[o].get(), outputs[o]);
    }
  }

  // What stands in for a value as an operation read it: without its mask where that was dropped.
  Variable now(const Variable& recorded) {
    const Variable found = find(recorded);
    const bool is_dropped =
        recorded.gradient() && recorded.gradient()->mask().defined() && !recorded.mask().defined();
    return is_dropped ? drop_mask(found) : found;
  }

  bool has_made(const Variable& x) const { return made_.contains(x.gradient()); }

  void check_all_read() const {
    for (std::size_t i = 0; i < is_read_.size(); ++i) {
      check(is_read_[i], "replay", "nothing on the tape reads replacement {}, a {} {}", i,
            to_string(replacements_[i].recorded.dtype()), replacements_[i].recorded.shape());
    }
  }

 private:
  Variable find(const Variable& recorded) {
    const auto made = made_.find(recorded.gradient());
    if (recorded.gradient() && made != made_.end()) return made->second;
    for (std::size_t i = 0; i < replacements_.size(); ++i) {
      const auto& [was, instead] = replacements_[i];
      const bool is_it = recorded.gradient() && was.gradient()
                             ? recorded.gradient() == was.gradient()
                             : recorded.value().is_same_view(was.value());
      if (!is_it) continue;
      is_read_[i] = true;
      return instead;
    }
    return recorded;
  }

  std::span<const Replacement> replacements_;
  std::vector<bool> is_read_;
  std::map<const Gradient*, Variable> made_;
};

}  // namespace

std::vector<Variable> replay(const Tape& tape, std::span<const Replacement> replacements,
                             std::span<const Variable> results) {
  check(tape.traces(), "replay", "needs a tape that traces: Tape tape({{.trace = true}})");
  std::optional<NoGrad> no_grad;
  if (Tape::current() == &tape) no_grad.emplace();  // or it would record what it replays
  Replay replay(replacements);
  for (std::size_t n = 0; n < tape.nodes().size(); ++n) {
    replay.run(*tape.nodes()[n], tape.scope(n));
  }
  replay.check_all_read();
  std::vector<Variable> found;
  for (std::size_t i = 0; i < results.size(); ++i) {
    check_given(results[i].defined(), "replay", "a result");
    check(replay.has_made(results[i]), "replay", "result {} was not recorded on this tape", i);
    found.push_back(replay.now(results[i]));
  }
  return found;
}

}  // namespace maskgrad
