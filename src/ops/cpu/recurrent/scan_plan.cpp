#include <algorithm>
#include <numeric>

#include <maskgrad/ops/cpu/gemm/sum_products.hpp>
#include <maskgrad/ops/cpu/recurrent/scan_plan.hpp>

namespace maskgrad::ops {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// Into how many parts a batch is cut: an even number, so that two threads share them. A part reads
// the matrix of the state, [hidden, 4 hidden], in each step. So it has many sequences where a
// core's own cache does not hold that.
std::int64_t parts_of_batch(std::int64_t sequences, std::int64_t hidden) {
  constexpr std::int64_t kMostCached = 256;
  static_assert(4 * kMostCached * kMostCached == kCached);
  const std::int64_t least = hidden <= kMostCached ? 16 : 48;
  return sequences < 2 * least ? 1 : sequences / (2 * least) * 2;
}

}  // namespace

struct ScanPlan::Lists {
  Numbers positions;  // of one sequence after another
  Numbers begins;     // of each in these; one more at the end

  std::int64_t length(std::int64_t b) const { return begins[at(b + 1)] - begins[at(b)]; }
};

ScanPlan::ScanPlan(const Shape& positions, const SequenceMask& mask, bool reverse,
                   std::int64_t hidden) {
  const std::int64_t batch = positions[0], length = positions[1];
  const bool* const keep = mask.defined() ? mask.bits().data<bool>() : nullptr;
  Lists lists;
  lists.positions.reserve(at(batch * length));
  lists.begins.reserve(at(batch + 1));
  lists.begins.push_back(0);
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
      if (!keep || keep[i]) lists.positions.push_back(i);
    }
    lists.begins.push_back(static_cast<std::int64_t>(lists.positions.size()));
  }
  fill(lists, hidden, reverse);
}

ScanPlan::ScanPlan(std::span<const std::int64_t> segments, std::int64_t sequences, bool reverse,
                   std::int64_t hidden) {
  Lists lists;
  lists.begins.resize(at(sequences + 1));
  for (const std::int64_t b : segments) ++lists.begins[at(b + 1)];
  std::partial_sum(lists.begins.begin(), lists.begins.end(), lists.begins.begin());
  Numbers next(lists.begins.begin(), lists.begins.end());
  lists.positions.resize(segments.size());
  for (std::size_t k = 0; k < segments.size(); ++k) {
    lists.positions[at(next[at(segments[k])]++)] = static_cast<std::int64_t>(k);
  }
  fill(lists, hidden, reverse);
}

// The longest first; the same order for any padding.
void ScanPlan::order_by_length(const Lists& lists) {
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](std::int64_t a, std::int64_t b) {
    const std::int64_t of_a = lists.length(a), of_b = lists.length(b);
    return of_a != of_b ? of_a > of_b : a < b;
  });
}

// Sequences are dealt to the parts by turns, so that each has long and short ones.
void ScanPlan::fill(const Lists& lists, std::int64_t hidden, bool reverse) {
  const std::int64_t batch = static_cast<std::int64_t>(lists.begins.size()) - 1;
  order_.resize(at(batch));
  order_by_length(lists);
  const std::int64_t parts = parts_of_batch(batch, hidden);
  const Numbers by_length = order_;
  order_.clear();
  positions_.reserve(lists.positions.size());
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t first = static_cast<std::int64_t>(order_.size());
    bounds_.push_back({first, static_cast<std::int64_t>(counts_.size()), rows()});
    for (std::int64_t i = part; i < batch; i += parts) order_.push_back(by_length[at(i)]);
    std::int64_t count = static_cast<std::int64_t>(order_.size()) - first;
    for (std::int64_t step = 0;; ++step) {
      while (count > 0 && lists.length(order_[at(first + count - 1)]) <= step) --count;
      if (count == 0) break;
      counts_.push_back(count);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t b = order_[at(first + i)];
        const std::int64_t place =
            reverse ? lists.begins[at(b + 1)] - 1 - step : lists.begins[at(b)] + step;
        positions_.push_back(lists.positions[at(place)]);
      }
    }
  }
  bounds_.push_back({batch, static_cast<std::int64_t>(counts_.size()), rows()});
}

ScanPart ScanPlan::part(std::int64_t number) const {
  const Bound &begin = bounds_[at(number)], &end = bounds_[at(number + 1)];
  return {begin.row,
          std::span(order_).subspan(at(begin.sequence), at(end.sequence - begin.sequence)),
          std::span(counts_).subspan(at(begin.step), at(end.step - begin.step))};
}

// Sequences were dealt to the parts by turns: number i of all, by length, is one of part i %
// parts().
ScanSteps ScanPlan::steps() const {
  ScanSteps all;
  all.begins.push_back(0);
  all.sequences.reserve(order_.size());
  all.rows.reserve(positions_.size());
  Numbers next;  // rows of parts
  for (std::int64_t p = 0; p < parts(); ++p) next.push_back(part(p).first_row);
  for (std::int64_t i = 0; i < sequences(); ++i) {
    all.sequences.push_back(part(i % parts()).sequences[at(i / parts())]);
  }
  for (std::size_t step = 0; std::ssize(all.rows) < rows(); ++step) {
    const auto count = [&](std::int64_t p) {
      const std::span<const std::int64_t> counts = part(p).counts;
      return step < counts.size() ? counts[step] : 0;
    };
    for (std::int64_t i = 0; i / parts() < count(i % parts()); ++i) {
      all.rows.push_back(next[at(i % parts())] + i / parts());
    }
    for (std::int64_t p = 0; p < parts(); ++p) next[at(p)] += count(p);
    all.begins.push_back(std::ssize(all.rows));
  }
  return all;
}

}  // namespace maskgrad::ops
