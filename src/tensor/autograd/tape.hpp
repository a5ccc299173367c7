// Reverse-mode differentiation: operations record themselves on a tape, the tape runs backward.
//
//   Tape tape;                            // records on this thread until it goes out of scope
//   Variable loss = model(batch);
//   tape.backward(loss);                  // the leaves now hold their gradients
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/node.hpp>
#include <maskgrad/tensor/autograd/observer.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/nested.hpp>

namespace maskgrad {

class Tape;
struct DryRun;
struct Given;
struct OpOutput;

/// While it lives, the operations of this thread are recorded on `tape`, or on none for nullptr.
class Recording : public Nested<Recording> {
 public:
  explicit Recording(Tape* tape) : tape_(tape) {}
  Tape* tape() const { return tape_; }

 private:
  Tape* tape_;
};

/// The operations of one forward pass, in order. A tape belongs to the thread that made it, and
/// must end there. Tapes nest: of those that live, the one made last records. They may end in any
/// order.
class Tape {
 public:
  struct Options {
    TapeObserver* observer = nullptr;  // must outlive the tape
    /// Records every operation, whether or not its inputs take gradients, with its inputs, its
    /// arguments and its layer. prove_mask(), replay() and to_string() need that. Such a tape does
    /// not run backward.
    bool trace = false;
  };

  Tape() : Tape(Options{}) {}
  explicit Tape(Options options);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds d(seed root) / d(leaf) to the gradient of every leaf that `root` depends on. Each record
  /// is freed as soon as it has been used, so a tape runs backward once.
  /// Throws Error on a second call, on a tape that traces, when `root` has no value, is not a
  /// single element, takes no gradient, or was recorded on another tape, and as the gradient rules
  /// do. An Error of a rule names the layer that recorded it.
  void backward(const Variable& root, double seed = 1.0);
  /// The same for the sum of grad_output * root, with a root of any shape. Throws Error unless
  /// `grad_output` has root's shape, dtype and device.
  void backward(const Variable& root, const Tensor& grad_output);

  std::span<const Ref<Node>> nodes() const { return nodes_; }
  bool traces() const { return options_.trace; }
  /// The layer in which node i was recorded, on a tape that traces or has an observer:
  /// "block0.attention".
  const std::string& scope(std::size_t i) const { return scopes_.at(i); }

  /// The recorded operations that have not run backward yet, a line each. A tape that traces or has
  /// an observer shows the layer, a tape that traces the arguments:
  ///   $1 = embedding(tokens: int64 (2, 5), weight: w) -> float32 (2, 5, 8) masked in 'embed'
  ///   $2 = scale(input: $1, factor: 0.5) -> float32 (2, 5, 8) masked
  /// Leaves go by their names in `leaves`.
  std::string to_string(std::span<const NamedLeaf> leaves = {}) const;

  /// The tape that records on this thread now, or nullptr.
  static Tape* current() {
    const Recording* recording = Recording::innermost();
    return recording ? recording->tape() : nullptr;
  }

 private:
  friend class Recorder;
  friend class RecomputeNode;
  friend class FirstRun;
  friend Variable drop_mask(const Variable& x);

  /// A tape that keeps no operations, for recompute().
  explicit Tape(DryRun& dry);
  /// Another tape number `id`, for recompute(): the values of the first are values of this one.
  explicit Tape(std::uint64_t id);

  static Ref<Gradient> gradient_of(const Variable& x, const Tape* tape);
  void check_knows(const char* op, const Gradient& input) const;
  void note_read(const char* op, const Variable& x);
  void add(Ref<Node> node);
  void note_layer();
  void run_backward(Gradient& root, Tensor grad_output);
  void run_backward();
  void run_backward(Node& node);
  void name_layer_of(std::size_t node, Error& error) const;
  static void drop_made_of_holes(const Node& node, Gradients& grads);

  std::uint64_t id_;
  Options options_;
  Recording recording_;
  DryRun* dry_ = nullptr;
  bool used_ = false;
  PoolVector<Ref<Node>> nodes_;
  std::vector<std::string> scopes_;  // of the nodes, for who looks on
  // Where nobody does, the layers stand one behind the other, and each node knows its place there.
  struct Place {
    std::uint32_t begin, end;
  };
  PoolVector<char> paths_;
  PoolVector<Place> places_;
  std::uint64_t scope_changes_ = 0;  // Scope::changes() when the last node was recorded
};

/// While a NoGrad lives, operations of this thread are recorded only on tapes made after it.
class NoGrad {
 private:
  Recording recording_{nullptr};
};

}  // namespace maskgrad
