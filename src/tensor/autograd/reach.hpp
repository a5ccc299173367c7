// Which places of an operation's output can depend on which places of an input. The static proof
// that no masked place is read walks along these, forward and back; the registry's tests hold them
// against what the operations do.
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
    kUnset,       // did not say
    kElement,     // the element aligned with it under broadcasting
    kLastAxis,    // the elements that share all but the last index
    kSameOrder,   // the element at the same place in row-major order
    kEverything,  // any element
    kByCall,      // it depends on arguments: the rule given to record() tells, see with_reach()
    kSignature,   // what the signature says
  };

  constexpr Reach(Kind kind) : kind_(kind) {}
  /// A letter for each axis of the input, then of the output; "..." for any number of axes, aligned
  /// from the right. A place of the output depends on the elements whose index is its own along
  /// every letter that both have and along "...", whatever it is along the others. Of the product
  /// of x [..., K] and weight [K, N]: "...k->...n" for x, "kn->...n" for the weight. A literal.
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

/// Throws Error "[name] ..." for a signature that is none: other characters, a letter or "..."
/// twice on one side, no "->".
void check_signature(const char* name, const Reach& reach);

/// Between the places of an input and those of an output: forward, to the places of the output that
/// can depend on a place, or back, to the places of the input that it can depend on.
struct Way {
  Shape input, output;
  bool back = false;
  std::size_t which = 0;  // of the operation's outputs

  const Shape& from() const { return back ? output : input; }
  const Shape& to() const { return back ? input : output; }
};

/// bool of shape way.to(): true where the way leads from a marked place. marked: bool of shape
/// way.from(). For kUnset as for kEverything, the safe side. Throws Error where the description
/// does not fit the shapes.
Tensor spread(Reach reach, const Tensor& marked, const Way& way);

/// In `ties`: the place depends on all elements along this axis of the input.
inline constexpr int kAlong = -1;
/// The same where axis a of the input has the index of axis ties[a] of the output, or kAlong.
/// matmul of [B, I, J] by [B, J, K]: ties {0, 1, kAlong} for the first input, {0, kAlong, 2} for
/// the second. Throws Error unless such axes are of one size, or one of them of size 1.
Tensor spread(std::span<const int> ties, const Tensor& marked, const Way& way);

/// Back, for a function that leads forward, from marks on an input to marks on the output: finds by
/// halving which places of the input lead to a marked one.
Tensor spread_back(const std::function<Tensor(const Tensor&)>& forward, const Tensor& marked,
                   const Shape& input);

/// Nothing marked but this element. Throws Error when the shape does not have it.
Tensor mark(const Shape& shape, std::int64_t element);
/// a | b, a & b and ~a of bool tensors of one shape.
Tensor either(const Tensor& a, const Tensor& b);
Tensor both(const Tensor& a, const Tensor& b);
Tensor opposite(const Tensor& a);
bool any(const Tensor& marked);
/// The first marked element in row-major order; -1 where there is none.
std::int64_t first_marked(const Tensor& marked);

}  // namespace maskgrad
