#include <algorithm>

#include <maskgrad/tensor/autograd/reach.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {
namespace {

void check_same_positions(const SequenceMask& a, const SequenceMask& b) {
  check_given(a.defined() && b.defined(), "sequence_mask", "an operand that says nothing");
  check(a.shape() == b.shape(), "sequence_mask", "positions differ: {} and {}", a.shape(),
        b.shape());
}

}  // namespace

SequenceMask::SequenceMask(Tensor bits)
    : bits_(bits.defined() && !bits.is_exclusive() ? bits.clone() : std::move(bits)) {
  check_given(bits_.tensor().defined(), "sequence_mask", "the bits");
  check(bits_.tensor().dtype() == DType::kBool && shape().rank() == 2, "sequence_mask",
        "needs bool [B, S], got {} {}", to_string(bits_.tensor().dtype()), shape());
  check(bits_.tensor().device().type == DeviceType::kCpu, "sequence_mask",
        "a mask is made of bits on the host; these are on cuda, fetch them with to(Device{{}})");
}

void SequenceMask::refuse() {
  fail("sequence_mask",
       "somebody wrote to the bits of a mask; clone() them, and make a mask of that");
}

SequenceMask SequenceMask::from_tokens(const Tensor& tokens, std::int64_t pad) {
  return from_tokens(tokens, {&pad, 1});
}

SequenceMask SequenceMask::from_tokens(const Tensor& tokens,
                                       std::span<const std::int64_t> excluded) {
  check_given(tokens.defined(), "sequence_mask", "the tokens");
  Tensor bits = Tensor::full(tokens.shape(), true, DType::kBool, tokens.device());
  dispatch_dtype(IntegerTypes{}, tokens.dtype(), "sequence_mask", [&]<class T>(T) {
    const T* token = tokens.data<T>();
    const std::int64_t count = tokens.numel();
    // One pass for each id: there are few. As bytes, which the compiler vectorises.
    auto* const keep = reinterpret_cast<unsigned char*>(bits.data<bool>());
    for (const std::int64_t id : excluded) {
      for (std::int64_t i = 0; i < count; ++i) {
        keep[i] = static_cast<unsigned char>(keep[i] & static_cast<unsigned char>(token[i] != id));
      }
    }
  });
  return SequenceMask(std::move(bits));
}

SequenceMask SequenceMask::from_lengths(std::span<const std::int64_t> lengths,
                                        std::int64_t length) {
  const auto batch = static_cast<std::int64_t>(lengths.size());
  Tensor bits = Tensor::zeros({batch, length}, DType::kBool);
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t count = lengths[static_cast<std::size_t>(b)];
    check(count >= 0 && count <= length, "sequence_mask", "length {} of row {} is not in 0..{}",
          count, b, length);
    std::fill_n(bits.data<bool>() + b * length, count, true);
  }
  return SequenceMask(std::move(bits));
}

std::int64_t SequenceMask::kept() const {
  check_given(defined(), "sequence_mask", "a mask that says nothing");
  const auto keep = bits().values<bool>();
  return std::count(keep.begin(), keep.end(), true);
}

SequenceMask operator&(const SequenceMask& a, const SequenceMask& b) {
  check_same_positions(a, b);
  return SequenceMask(both(a.bits(), b.bits()));
}

SequenceMask operator|(const SequenceMask& a, const SequenceMask& b) {
  check_same_positions(a, b);
  return SequenceMask(either(a.bits(), b.bits()));
}

SequenceMask operator~(const SequenceMask& a) {
  check_same_positions(a, a);
  return SequenceMask(opposite(a.bits()));
}

bool operator==(const SequenceMask& a, const SequenceMask& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.bits().is_same_view(b.bits()) || is_identical(a.bits(), b.bits());
}

std::string_view to_string(MaskRule rule) {
  constexpr std::string_view kNames[] = {"-", "keeps", "uses", "makes", "changes", "ends"};
  return kNames[static_cast<std::size_t>(rule)];
}

}  // namespace maskgrad
