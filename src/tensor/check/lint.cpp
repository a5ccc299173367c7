#include <algorithm>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/check/lint.hpp>
#include <maskgrad/tensor/mask/explain.hpp>

namespace maskgrad {
namespace {

using Lines = std::vector<std::string>;

// Sequences of a mask that have no position: how many, and the first of them.
struct Empty {
  std::int64_t count = 0, first = -1;
};

Empty empty_sequences(const SequenceMask& mask) {
  Empty empty;
  const std::int64_t length = mask.shape()[1];
  for (std::int64_t b = 0; b < mask.shape()[0]; ++b) {
    const bool* row = mask.bits().data<bool>() + b * length;
    if (std::find(row, row + length, true) != row + length) continue;
    if (empty.count++ == 0) empty.first = b;
  }
  return empty;
}

// True when it keeps mostly padding, and what it leaves out is mostly something else.
bool looks_inverted(const SequenceMask& mask, const Tensor& tokens, std::int64_t pad) {
  std::int64_t kept = 0, kept_pads = 0, left_out = 0, left_out_pads = 0;
  dispatch_dtype(IntegerTypes{}, tokens.dtype(), "lint_mask", [&]<class T>(T) {
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      const bool is_pad = tokens.data<T>()[i] == pad;
      (mask.bits().data<bool>()[i] ? kept : left_out) += 1;
      (mask.bits().data<bool>()[i] ? kept_pads : left_out_pads) += is_pad;
    }
  });
  return 2 * kept_pads > kept && 2 * left_out_pads < left_out;
}

void add_extremes(std::int64_t kept, std::int64_t all, const char* what, Lines& lines) {
  if (all == 0) return;
  if (kept == 0) lines.push_back(fmt::format("keeps none of {} {}", all, what));
  if (kept == all) {
    lines.push_back(fmt::format("keeps all {} {}: without it the result is the same", all, what));
  }
}

std::size_t count_of(std::string_view word, std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

}  // namespace

Lines lint_mask(const SequenceMask& mask, const Tensor& x, std::int64_t pad) {
  check_given(x.defined(), "lint_mask", "the data");
  if (!mask.defined()) return {"says nothing"};
  if (!x.shape().starts_with(mask.shape())) {
    return {fmt::format("is for positions {}, the data is {}", mask.shape(), x.shape())};
  }
  Lines lines;
  add_extremes(mask.kept(), mask.bits().numel(), "positions", lines);
  const Empty empty = empty_sequences(mask);
  if (empty.count > 0 && mask.kept() > 0) {
    lines.push_back(fmt::format("leaves {} of {} sequences without any position, first number {}",
                                empty.count, mask.shape()[0], empty.first));
  }
  if (contains(DTypes::kInteger, x.dtype()) && x.rank() == 2 && looks_inverted(mask, x, pad)) {
    lines.push_back(fmt::format(
        "keeps mostly tokens {}, which are padding, and leaves out the others: it looks inverted",
        pad));
  }
  return lines;
}

Lines lint_mask(const AttentionMask& mask, const Tensor& queries, const Tensor& keys) {
  check_given(queries.defined() && keys.defined(), "lint_mask", "the data");
  if (!mask.defined()) return {"says nothing"};
  const std::int64_t s = queries.dim(-2), t = keys.dim(-2);
  if (mask.shape()[2] != s || mask.shape()[3] != t) {
    return {fmt::format("is for {} queries and {} keys, the data has {} and {}", mask.shape()[2],
                        mask.shape()[3], s, t)};
  }
  Lines lines;
  const MaskExplanation about = explain(mask);
  add_extremes(about.pairs_kept, about.pairs, "pairs", lines);
  if (about.rows_with_nothing > 0 && about.pairs_kept > 0) {
    lines.push_back(fmt::format("leaves {} of {} queries nothing to attend to: they give 0",
                                about.rows_with_nothing, about.rows));
  }
  if (count_of("causal", mask.recipe()) > 1) {
    lines.push_back(fmt::format("is causal twice: {}", mask.recipe()));
  }
  return lines;
}

}  // namespace maskgrad
