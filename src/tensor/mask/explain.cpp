#include <algorithm>
#include <limits>
#include <ostream>
#include <vector>

#include <maskgrad/tensor/mask/explain.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "mask_explain";

// How many pieces of `size` cover `whole`, the last one perhaps smaller.
std::int64_t pieces(std::int64_t whole, std::int64_t size) {
  return whole / size + (whole % size != 0 ? 1 : 0);
}

enum class Cell : std::uint8_t { kEmpty, kPartial, kFull };

// Cuts rows x columns places into cells of height x width, those at the ends smaller. The places
// kept in a row come as runs, so the cost is in proportion to runs and cells, not to places.
class Cells {
 public:
  Cells(std::int64_t rows, std::int64_t columns, std::int64_t height, std::int64_t width)
      : rows_(rows),
        columns_(columns),
        height_(std::min(height, std::max<std::int64_t>(rows, 1))),
        width_(std::min(width, std::max<std::int64_t>(columns, 1))),
        kept_(static_cast<std::size_t>(pieces(columns, width_))) {}

  // for_each_run(row, f) calls f(lo, hi) for the runs of a row. Calls cell(Cell) for each cell of
  // a line and end_line() after it, for the lines from the first on.
  template <class ForEachRun, class OnCell, class EndLine>
  void visit(ForEachRun&& for_each_run, OnCell&& cell, EndLine&& end_line) {
    for (std::int64_t first = 0; first < rows_; first += height_) {
      const std::int64_t last = std::min(first + height_, rows_);
      std::fill(kept_.begin(), kept_.end(), 0);
      for (std::int64_t row = first; row < last; ++row) {
        for_each_run(row, [&](std::int64_t lo, std::int64_t hi) { add(lo, hi); });
      }
      for (std::int64_t i = 0; i < pieces(columns_, width_); ++i) {
        const std::int64_t width = std::min(width_, columns_ - i * width_);
        cell(kind(kept_[static_cast<std::size_t>(i)], (last - first) * width));
      }
      end_line();
    }
  }

 private:
  static Cell kind(std::int64_t kept, std::int64_t places) {
    if (kept == 0) return Cell::kEmpty;
    return kept == places ? Cell::kFull : Cell::kPartial;
  }

  void add(std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo / width_; i * width_ < hi; ++i) {
      kept_[static_cast<std::size_t>(i)] +=
          std::min(hi, (i + 1) * width_) - std::max(lo, i * width_);
    }
  }

  std::int64_t rows_, columns_, height_, width_;
  std::vector<std::int64_t> kept_;  // in each cell of the current line
};

template <class ForEachRun>
std::string picture(Cells cells, ForEachRun&& for_each_run) {
  std::string text;
  cells.visit(
      for_each_run, [&](Cell cell) { text += ".+#"[static_cast<std::size_t>(cell)]; },
      [&] { text += '\n'; });
  return text;
}

void check_defined(bool defined) { check_given(defined, kName, "the mask"); }

void check_positive(const char* what, std::int64_t value) {
  check(value >= 1, kName, "{} must be at least 1: {}", what, value);
}

// Rows, pairs and the longest row of one batch entry and head.
void count_rows(const AttentionMask& mask, std::int64_t b, std::int64_t h, MaskExplanation& found) {
  for (std::int64_t s = 0; s < mask.shape()[2]; ++s) {
    std::int64_t runs = 0;
    mask.for_each_run(b, h, s, [&](std::int64_t lo, std::int64_t hi) {
      ++runs;
      found.pairs_kept += hi - lo;
    });
    found.rows_with_nothing += runs == 0 ? 1 : 0;
    found.longest_row = std::max(found.longest_row, runs);
  }
}

void count_tiles(const AttentionMask& mask, std::int64_t b, std::int64_t h,
                 MaskExplanation& found) {
  std::int64_t* const counts[] = {&found.tiles_empty, &found.tiles_partial, &found.tiles_full};
  Cells(mask.shape()[2], mask.shape()[3], found.tile, found.tile)
      .visit([&](std::int64_t s, auto&& f) { mask.for_each_run(b, h, s, f); },
             [&](Cell cell) { ++*counts[static_cast<std::size_t>(cell)]; }, [] {});
}

std::string form_of(const AttentionMask& mask) {
  if (mask.form() == AttentionMask::Form::kBits) return "bits";
  return mask.intervals_per_row() == 1 ? "one interval a row" : "two intervals a row";
}

}  // namespace

double MaskExplanation::share() const {
  return pairs == 0 ? 0.0 : static_cast<double>(pairs_kept) / static_cast<double>(pairs);
}

MaskExplanation explain(const AttentionMask& mask, std::int64_t tile) {
  check_defined(mask.defined());
  check_positive("tile", tile);
  const Shape& shape = mask.shape();
  MaskExplanation found;
  found.shape = shape;
  found.recipe = mask.recipe();
  found.form = form_of(mask);
  found.pairs = shape.numel();
  found.rows = shape.slice(0, 3).numel();
  found.tile = tile;
  for (std::int64_t b = 0; b < shape[0]; ++b) {
    for (std::int64_t h = 0; h < shape[1]; ++h) {
      count_rows(mask, b, h, found);
      count_tiles(mask, b, h, found);
    }
  }
  return found;
}

std::string to_string(const MaskExplanation& x) {
  std::string text = fmt::format("{} {}\n", x.recipe, x.shape);
  text += fmt::format("keeps {} of {} pairs ({:.1f}%)\n", x.pairs_kept, x.pairs, 100 * x.share());
  text += fmt::format("{} of {} rows have nothing to attend to\n", x.rows_with_nothing, x.rows);
  text += fmt::format("kept as {}", x.form);
  if (x.longest_row > 2) text += fmt::format(": a row has {} runs of keys", x.longest_row);
  text += fmt::format("\ntiles of {0} x {0}: {1} empty, {2} full, {3} partial\n", x.tile,
                      x.tiles_empty, x.tiles_full, x.tiles_partial);
  return text;
}

std::string draw(const AttentionMask& mask, std::int64_t b, std::int64_t h, std::int64_t max_size) {
  check_defined(mask.defined());
  check_positive("max_size", max_size);
  const Shape& shape = mask.shape();
  const auto has = [](std::int64_t i, std::int64_t size) {
    return size == 1 || (0 <= i && i < size);
  };
  check(has(b, shape[0]) && has(h, shape[1]), kName, "no batch entry {} and head {} in {}", b, h,
        shape);
  // One step for both, so that a diagonal stays one.
  const std::int64_t step =
      std::max<std::int64_t>(1, pieces(std::max(shape[2], shape[3]), max_size));
  return picture(Cells(shape[2], shape[3], step, step),
                 [&](std::int64_t s, auto&& f) { mask.for_each_run(b, h, s, f); });
}

std::string draw(const SequenceMask& mask, std::int64_t max_rows, std::int64_t max_columns) {
  check_defined(mask.defined());
  check_positive("max_rows", max_rows);
  check_positive("max_columns", max_columns);
  const std::int64_t rows = mask.shape()[0], columns = mask.shape()[1];
  check(columns <= std::numeric_limits<std::int32_t>::max(), kName, "{} positions are too many",
        columns);
  const std::int64_t height = std::max<std::int64_t>(1, pieces(rows, max_rows));
  const std::int64_t width = std::max<std::int64_t>(1, pieces(columns, max_columns));
  Runs runs;
  return picture(Cells(rows, columns, height, width), [&](std::int64_t row, auto&& f) {
    find_runs(mask.bits().data<bool>() + row * columns, static_cast<std::int32_t>(columns), runs);
    for (const KeyInterval run : runs) f(run.lo, run.hi);
  });
}

std::ostream& operator<<(std::ostream& out, const AttentionMask& mask) {
  if (!mask.defined()) return out << "(says nothing)";
  const bool has_entries = mask.shape()[0] > 0 && mask.shape()[1] > 0;
  return out << (has_entries ? draw(mask) : to_string(mask.shape()));
}

std::ostream& operator<<(std::ostream& out, const SequenceMask& mask) {
  if (!mask.defined()) return out << "(says nothing)";
  return out << (mask.shape().numel() > 0 ? draw(mask) : to_string(mask.shape()));
}

}  // namespace maskgrad
