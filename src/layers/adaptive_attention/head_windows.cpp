#include <algorithm>
#include <cstdlib>

#include <maskgrad/layers/adaptive_attention/head_windows.hpp>

namespace maskgrad {
namespace {

// The numbers of queries and of key columns.
class NumberedColumns {
 public:
  NumberedColumns(const Variable& x, Pass& pass)
      : exists_(x.mask().defined() ? x.mask().bits() : Tensor()),
        is_reading_(pass.is_reading()),
        length_(x.dim(1)) {
    if (exists_.defined() || is_reading_) positions_ = pass.positions(x);
  }

  std::int64_t batch() const { return positions_.defined() ? positions_.dim(0) : 1; }
  bool exists(std::int64_t b, std::int64_t s) const {
    return !exists_.defined() || exists_.data<bool>()[b * length_ + s];
  }
  std::int64_t query(std::int64_t b, std::int64_t s) const {
    return positions_.defined() ? positions_.data<std::int64_t>()[b * length_ + s] : s;
  }
  // The number of key t, or -1 where there is none. Keys of a cache stand at their numbers.
  std::int64_t key(std::int64_t b, std::int64_t t) const {
    if (is_reading_) return t;
    return exists(b, t) ? query(b, t) : -1;
  }

 private:
  Tensor exists_;
  bool is_reading_;
  std::int64_t length_;
  Tensor positions_;  // undefined where columns are numbers: all positions exist
};

// The columns of the keys that exist, in the order of their numbers.
PoolVector<std::int64_t> columns_of(const NumberedColumns& numbers, std::int64_t b,
                                    std::int64_t keys) {
  PoolVector<std::int64_t> columns;
  for (std::int64_t t = 0; t < keys; ++t) {
    if (numbers.key(b, t) >= 0) columns.push_back(t);
  }
  return columns;
}

}  // namespace

AttentionMask within_reach(const Variable& x, Pass& pass, std::span<const std::int64_t> reaches,
                           std::int64_t keys) {
  const NumberedColumns numbers(x, pass);
  const std::int64_t heads = std::ssize(reaches), length = x.dim(1);
  Tensor begins = Tensor::zeros({numbers.batch(), heads, length}, DType::kInt64);
  Tensor ends = Tensor::zeros(begins.shape(), DType::kInt64);
  std::int64_t *begin = begins.data<std::int64_t>(), *end = ends.data<std::int64_t>();
  for (std::int64_t b = 0; b < numbers.batch(); ++b) {
    const PoolVector<std::int64_t> columns = columns_of(numbers, b, keys);
    const std::int64_t last = std::ssize(columns) - 1;
    for (const std::int64_t reach : reaches) {
      for (std::int64_t s = 0; s < length; ++s, ++begin, ++end) {
        if (!numbers.exists(b, s) || last < 0) continue;
        const std::int64_t number = numbers.query(b, s), span = std::min(reach, keys);
        const auto column = [&](std::int64_t key) {
          return columns[static_cast<std::size_t>(std::clamp<std::int64_t>(key, 0, last))];
        };
        *begin = column(number - span);
        *end = column(number + span) + 1;
      }
    }
  }
  return AttentionMask::between(begins, ends, keys);
}

Tensor distances(const Variable& x, Pass& pass, std::int64_t most, std::int64_t keys) {
  const NumberedColumns numbers(x, pass);
  const std::int64_t length = x.dim(1);
  Tensor apart = Tensor::zeros({numbers.batch(), length, keys}, DType::kInt64);
  std::int64_t* distance = apart.data<std::int64_t>();
  for (std::int64_t b = 0; b < numbers.batch(); ++b) {
    for (std::int64_t s = 0; s < length; ++s) {
      for (std::int64_t t = 0; t < keys; ++t, ++distance) {
        const std::int64_t key = numbers.key(b, t);
        if (key < 0 || !numbers.exists(b, s)) continue;
        *distance = std::min(std::abs(numbers.query(b, s) - key), most);
      }
    }
  }
  return apart;
}

ops::AttentionPlan narrowed(const ops::AttentionPlan& plan, const AttentionMask& pairs) {
  if (!plan.queries().defined()) return plan.pairs() & pairs;
  const AttentionMask& given = plan.given_pairs();
  return ops::AttentionPlan::existing(plan.queries(), given.defined() ? given & pairs : pairs);
}

}  // namespace maskgrad
