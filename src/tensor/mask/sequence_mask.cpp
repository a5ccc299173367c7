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

SequenceMask::SequenceMask(Tensor bits) {
  check_given(bits.defined(), "sequence_mask", "the bits");
  check(bits.dtype() == DType::kBool && bits.rank() == 2, "sequence_mask",
        "needs bool [B, S], got {} {}", to_string(bits.dtype()), bits.shape());
  check(bits.device().type == DeviceType::kCpu, "sequence_mask",
        "a mask is made of bits on the host; these are on cuda, fetch them with to(Device{{}})");
  body_ = make_ref<Body>(bits.is_exclusive() ? std::move(bits) : bits.clone());
}

const Watched& SequenceMask::no_bits() {
  static const Watched nothing;
  return nothing;
}

const Tensor& SequenceMask::bits_on(Device device) const {
  const Tensor& here = bits();
  if (!defined() || here.device() == device) return here;
  const std::lock_guard lock(body_->uploading);
  Watched& there = body_->on_device;
  const bool is_there = there.tensor().defined() && there.tensor().device() == device;
  if (!is_there) there = Watched(here.to(device));
  if (there.is_changed()) refuse();
  return there.tensor();
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
  const Tensor &x = a.bits(), &y = b.bits();
  return a.body_ == b.body_ || is_identical(x, y);
}

std::string_view to_string(MaskRule rule) {
  constexpr std::string_view kNames[] = {"-", "keeps", "uses", "makes", "changes", "ends"};
  return kNames[static_cast<std::size_t>(rule)];
}

}  // namespace maskgrad
