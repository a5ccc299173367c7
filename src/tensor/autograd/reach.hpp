// Which places of an operation's output can depend on which places of an input. The static proof
// that no masked place is read (check/prove.hpp) follows them forward and back. check_op() tests
// them against what operations do.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// What one place of an output can depend on, of one input.
class Reach {
 public:
  enum Kind : std::uint8_t {
    kUnset,       // not declared
    kElement,     // the element aligned with it under broadcasting
    kLastAxis,    // the elements that share all but the last index
    kSameOrder,   // the element at the same place in row-major order
    kEverything,  // any element
    kByCall,      // it depends on arguments: the rule given to record() tells, see with_reach()
    kSignature,   // what the signature says
  };

  constexpr Reach(Kind kind) : kind_(kind) {}
  /// A signature: a letter for each axis of the input, "->", a letter for each axis of the output.
  /// "..." stands for any number of axes, aligned from the right. A place of the output depends on
  /// the elements of the input that have the same index along every shared letter and along "...".
  /// Along the other letters they may have any index. For the product of x [..., K] and weight
  /// [K, N] it is "...k->...n" for x, and "kn->...n" for the weight. Requires a literal, as the
  /// pointer is kept.
  constexpr Reach(const char* signature) : kind_(kSignature), signature_(signature) {}

  constexpr Kind kind() const { return kind_; }
  std::string_view signature() const { return signature_; }
  friend bool operator==(const Reach& a, const Reach& b) {
    return a.kind_ == b.kind_ && a.signature() == b.signature();
  }

 private:
  Kind kind_;
  const char* signature_ = "";
};

/// Throws Error "[name] ..." for a malformed signature: one without "->", with characters other
/// than a to z, or with a letter or "..." twice on one side.
void check_signature(const char* name, const Reach& reach);

/// A direction between an input and an output. Forward leads from a place of the input to the
/// places of the output that can depend on it. Back leads from a place of the output to the places
/// of the input that it can depend on.
struct Way {
  Shape input, output;
  bool back = false;
  std::size_t which = 0;  // of the operation's outputs

  const Shape& from() const { return back ? output : input; }
  const Shape& to() const { return back ? input : output; }
};

/// bool of shape way.to(): true where the way leads from a marked place. marked: bool of shape
/// way.from(). kUnset and kByCall are read as kEverything, which is safe. Throws Error when the
/// reach does not fit the shapes.
Tensor spread(Reach reach, const Tensor& marked, const Way& way);

/// In `ties`: the place depends on all elements along this axis of the input.
inline constexpr int kAlong = -1;
/// The same where axis a of the input has the index of axis ties[a] of the output, or kAlong.
/// matmul of [B, I, J] by [B, J, K]: ties {0, 1, kAlong} for the first input, {0, kAlong, 2} for
/// the second. Throws Error unless such axes are of one size, or one of them of size 1.
Tensor spread(std::span<const int> ties, const Tensor& marked, const Way& way);

/// The places of an input, as bool of shape `input`, that lead to a marked place of the output.
/// `forward` carries marks on the input to marks on the output. It is called on halves of the
/// input, then on halves of those that lead to a mark, and so on.
Tensor spread_back(const std::function<Tensor(const Tensor&)>& forward, const Tensor& marked,
                   const Shape& input);

/// Marks (bool) with one element marked. Throws Error when the shape does not have it.
Tensor mark(const Shape& shape, std::int64_t element);
/// a | b, a & b and ~a of bool tensors. Throw Error when the shapes differ.
Tensor either(const Tensor& a, const Tensor& b);
Tensor both(const Tensor& a, const Tensor& b);
Tensor opposite(const Tensor& a);
bool any(const Tensor& marked);
/// The first marked element in row-major order; -1 where there is none.
std::int64_t first_marked(const Tensor& marked);

}  // namespace maskgrad
