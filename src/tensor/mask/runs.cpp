#include <algorithm>
#include <limits>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/mask/runs.hpp>

namespace maskgrad {

void find_runs(const bool* row, std::int32_t keys, Runs& out) {
  out.clear();
  for (KeyInterval run = next_run(row, 0, keys); !run.empty(); run = next_run(row, run.hi, keys)) {
    out.push_back(run);
  }
}

void intersect_runs(RunsView a, RunsView b, Runs& out) {
  out.clear();
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    const KeyInterval both = {std::max(x->lo, y->lo), std::min(x->hi, y->hi)};
    if (both.lo < both.hi) out.push_back(both);
    // What ends first meets nothing further. Runs of one list do not touch, so neither do these.
    x->hi < y->hi ? ++x : ++y;
  }
}

void unite_runs(RunsView a, RunsView b, Runs& out) {
  out.clear();
  for (auto x = a.begin(), y = b.begin(); x != a.end() || y != b.end();) {
    const bool from_a = y == b.end() || (x != a.end() && x->lo < y->lo);
    const KeyInterval next = from_a ? *x++ : *y++;
    if (!out.empty() && next.lo <= out.back().hi)
      out.back().hi = std::max(out.back().hi, next.hi);
    else
      out.push_back(next);
  }
}

void complement_runs(RunsView a, std::int32_t keys, Runs& out) {
  out.clear();
  std::int32_t from = 0;
  for (const KeyInterval run : a) {
    if (from < run.lo) out.push_back({from, run.lo});
    from = run.hi;
  }
  if (from < keys) out.push_back({from, keys});
}

SegmentRuns::SegmentRuns(std::int64_t size) {
  check(size >= 0 && size <= std::numeric_limits<std::int32_t>::max(), "attention_mask",
        "cannot cut {} positions into segments", size);
  of_position_.resize(static_cast<std::size_t>(size));
}

void SegmentRuns::read(const std::int64_t* ids) {
  find_segments(ids);
  runs_.clear();
  for (const Segment& segment : segments_) runs_.push_back(segment.keys);
  std::fill(of_position_.begin(), of_position_.end(), Part());
  for (std::size_t first = 0, last = 0; first < segments_.size(); first = last) {
    while (last < segments_.size() && segments_[last].id == segments_[first].id) ++last;
    const Part part = {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last - first)};
    for (std::size_t i = first; i < last; ++i) {
      std::fill(of_position_.begin() + runs_[i].lo, of_position_.begin() + runs_[i].hi, part);
    }
  }
}

void SegmentRuns::find_segments(const std::int64_t* ids) {
  segments_.clear();
  const auto size = static_cast<std::int32_t>(of_position_.size());
  for (std::int32_t lo = 0, hi = 0; lo < size; lo = hi) {
    while (hi < size && ids[hi] == ids[lo]) ++hi;
    if (ids[lo] >= 0) segments_.push_back({ids[lo], {lo, hi}});
  }
  std::sort(segments_.begin(), segments_.end(), [](const Segment& a, const Segment& b) {
    return std::pair(a.id, a.keys.lo) < std::pair(b.id, b.keys.lo);
  });
}

}  // namespace maskgrad
