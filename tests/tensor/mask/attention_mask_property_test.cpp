// Random attention masks against plain tables of bits.
#include <functional>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/explain.hpp>

#include "tensor/mask/attention_mask_samples.hpp"

namespace maskgrad {
namespace {

using test::both;
using test::draw_all;
using test::draw_bits;
using test::draw_causal;
using test::draw_existing;
using test::draw_int;
using test::draw_mask;
using test::draw_padding;
using test::draw_prefix;
using test::draw_sample;
using test::draw_segments;
using test::draw_sink;
using test::draw_sizes;
using test::draw_table;
using test::draw_window;
using test::either;
using test::Int;
using test::neither;
using test::Run;
using test::runs_of;
using test::Sample;
using test::Sizes;
using test::Table;
using test::tensor_of;
using Form = AttentionMask::Form;

void check_row(const AttentionMask& mask, const Table& table, Int b, Int h, Int s) {
  const std::vector<Run> expected = runs_of(table, b, h, s);
  std::vector<Run> runs;
  mask.for_each_run(b, h, s, [&](Int lo, Int hi) { runs.push_back({lo, hi}); });
  RC_ASSERT(runs.size() == expected.size());
  RC_ASSERT(std::equal(runs.begin(), runs.end(), expected.begin()));
  for (Int t = 0; t < table.shape[3]; ++t) {
    RC_ASSERT(mask.keeps(b, h, s, t) == table.at(b, h, s, t));
    if (mask.form() == Form::kBits) RC_ASSERT(mask.row_bits(b, h, s)[t] == table.at(b, h, s, t));
  }
  if (mask.form() == Form::kBits) return;
  const RunsView intervals = mask.intervals(b, h, s);
  RC_ASSERT(intervals.size() == static_cast<std::size_t>(mask.intervals_per_row()));
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    const Run run = i < expected.size() ? expected[i] : Run{0, 0};
    RC_ASSERT(run == (Run{intervals[i].lo, intervals[i].hi}));
  }
}

// The mask holds exactly the pairs of the table, in the one form that they have.
void check_same(const AttentionMask& mask, const Table& table) {
  RC_ASSERT(mask.shape() == table.shape);
  const Tensor bits = mask.to_bits();
  RC_ASSERT(bits.shape() == table.shape);
  RC_ASSERT(std::equal(table.bits.begin(), table.bits.end(), bits.data<bool>()));
  RC_ASSERT(mask.kept() == std::count(table.bits.begin(), table.bits.end(), true));
  std::size_t most = 0;
  for (Int b = 0; b < table.shape[0]; ++b)
    for (Int h = 0; h < table.shape[1]; ++h)
      for (Int s = 0; s < table.shape[2]; ++s) {
        check_row(mask, table, b, h, s);
        most = std::max(most, runs_of(table, b, h, s).size());
      }
  RC_ASSERT((mask.form() == Form::kIntervals) == (most <= 2));
  if (most <= 2) RC_ASSERT(mask.intervals_per_row() == (most == 2 ? 2 : 1));
}

// Nothing and everything, in the shape of `mask`.
AttentionMask constant(const AttentionMask& mask, bool value) {
  return AttentionMask::bits(Tensor::full(mask.shape(), value ? 1 : 0, DType::kBool));
}

// ---- Samples.

TEST(AttentionMaskSamples, ReachEveryFormAndBothExtremes) {
  int one = 0, two = 0, bits = 0, empty = 0, full = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto draw = rc::gen::exec([&] {
      const AttentionMask mask = draw_mask(draw_sizes());
      const bool has_bits = mask.form() == Form::kBits;
      ++(has_bits ? bits : mask.intervals_per_row() == 1 ? one : two);
      empty += mask.kept() == 0;
      full += mask.kept() == mask.shape().numel() && mask.kept() > 0;
      return 0;
    });
    draw(rc::Random(seed), rc::kNominalSize).value();
  }
  for (const int count : {one, two, bits, empty, full}) EXPECT_GE(count, 40);
}

// ---- Constructors.

void follows_its_formula(Sample (*kind)(const Sizes&)) {
  for (int i = 0; i < 3; ++i) {
    const Sample sample = kind(draw_sizes());
    check_same(sample.mask, sample.table);
  }
}

RC_GTEST_PROP(AttentionMaskFormula, HoldsForAll, ()) { follows_its_formula(draw_all); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForCausal, ()) { follows_its_formula(draw_causal); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForWindow, ()) { follows_its_formula(draw_window); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForPrefix, ()) { follows_its_formula(draw_prefix); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForSink, ()) { follows_its_formula(draw_sink); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForPadding, ()) { follows_its_formula(draw_padding); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForExisting, ()) { follows_its_formula(draw_existing); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForSegments, ()) { follows_its_formula(draw_segments); }
RC_GTEST_PROP(AttentionMaskFormula, HoldsForBits, ()) { follows_its_formula(draw_bits); }

RC_GTEST_PROP(AttentionMaskFormula, HoldsForBitsAsTheyAre, ()) {
  const Sizes n = draw_sizes();
  const Table table = draw_table({n.batch, n.heads, n.queries, n.keys});
  check_same(AttentionMask::bits(tensor_of(table, table.shape)), table);
}

// ---- Algebra, against tables.

RC_GTEST_PROP(AttentionMaskAlgebra, DoesToMasksWhatItDoesToEachPair, ()) {
  const Sizes n = draw_sizes();
  const Sample a = draw_sample(n), b = draw_sample(n);
  for (const Sample& sample : {a, b, both(a, b), either(a, b), neither(a)}) {
    check_same(sample.mask, sample.table);
  }
}

RC_GTEST_PROP(AttentionMaskAlgebra, StretchesBatchAndHeads, ()) {
  const Sizes n = draw_sizes();
  const auto sample = [&](Int batch, Int heads) {
    const Table table = draw_table({batch, heads, n.queries, n.keys});
    return Sample{AttentionMask::bits(tensor_of(table, table.shape)), table};
  };
  const Sample batch = sample(n.batch, 1), heads = sample(1, n.heads), one = sample(1, 1),
               full = sample(n.batch, n.heads);
  for (const auto& [a, b] : {std::pair(batch, heads), {heads, batch}, {one, full}, {full, heads}}) {
    check_same(both(a, b).mask, both(a, b).table);
    check_same(either(a, b).mask, either(a, b).table);
  }
}

RC_GTEST_PROP(AttentionMaskAlgebra, EqualsByShapeAndPairsAlone, ()) {
  const Sizes n = draw_sizes();
  const Sample a = draw_sample(n), b = draw_sample(n);
  RC_ASSERT((a.mask == b.mask) == (a.table.shape == b.table.shape && a.table.bits == b.table.bits));
  RC_ASSERT(a.mask == AttentionMask::bits(tensor_of(a.table, a.table.shape)));
}

// ---- Laws.

RC_GTEST_PROP(AttentionMaskLaw, OrderAndGroupingDoNotMatter, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask a = draw_mask(n), b = draw_mask(n), c = draw_mask(n);
  RC_ASSERT((a & b) == (b & a));
  RC_ASSERT((a | b) == (b | a));
  RC_ASSERT(((a & b) & c) == (a & (b & c)));
  RC_ASSERT(((a | b) | c) == (a | (b | c)));
}

RC_GTEST_PROP(AttentionMaskLaw, AMaskWithItselfIsItself, ()) {
  const AttentionMask a = draw_mask(draw_sizes());
  RC_ASSERT((a & a) == a);
  RC_ASSERT((a | a) == a);
  RC_ASSERT(~~a == a);
}

RC_GTEST_PROP(AttentionMaskLaw, AMaskAndItsComplementAreNothingAndEverything, ()) {
  const AttentionMask a = draw_mask(draw_sizes());
  RC_ASSERT((a & ~a) == constant(a, false));
  RC_ASSERT((a | ~a) == constant(a, true));
  RC_ASSERT((a & constant(a, true)) == a);
  RC_ASSERT((a | constant(a, false)) == a);
  RC_ASSERT((a & constant(a, false)) == constant(a, false));
  RC_ASSERT((a | constant(a, true)) == constant(a, true));
}

RC_GTEST_PROP(AttentionMaskLaw, DeMorgansHold, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask a = draw_mask(n), b = draw_mask(n);
  RC_ASSERT(~(a & b) == (~a | ~b));
  RC_ASSERT(~(a | b) == (~a & ~b));
}

RC_GTEST_PROP(AttentionMaskLaw, OneOperationDistributesOverTheOther, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask a = draw_mask(n), b = draw_mask(n), c = draw_mask(n);
  RC_ASSERT((a & (b | c)) == ((a & b) | (a & c)));
  RC_ASSERT((a | (b & c)) == ((a | b) & (a | c)));
}

RC_GTEST_PROP(AttentionMaskLaw, AbsorptionHoldsForMasksOfOneShape, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask first = draw_mask(n), b = draw_mask(n);
  const AttentionMask a = first & (b | ~b);  // stretched to the shape of both
  RC_ASSERT((a & (a | b)) == a);
  RC_ASSERT((a | (a & b)) == a);
}

RC_GTEST_PROP(AttentionMaskLaw, KnownMasksMeetInKnownMasks, ()) {
  const Sizes n = draw_sizes();
  const Int left = draw_int(0, 12), right = draw_int(0, 12), count = draw_int(0, 14);
  const auto window = [&](Int l, Int r) { return AttentionMask::window(n.queries, n.keys, l, r); };
  const AttentionMask causal = AttentionMask::causal(n.queries, n.keys);
  RC_ASSERT((window(left, right) & causal) == window(left, 0));
  RC_ASSERT((causal | AttentionMask::sink(n.queries, n.keys, count)) ==
            AttentionMask::prefix(n.queries, n.keys, count));
}

// ---- What a mask says of itself.

// Each character of the picture of a matrix in cells of height x width, from the bits.
std::string picture_of(Int rows, Int columns, Int height, Int width,
                       const std::function<bool(Int, Int)>& at) {
  std::string text;
  for (Int s = 0; s < rows; s += height) {
    for (Int t = 0; t < columns; t += width) {
      bool any = false, every = true;
      for (Int i = s; i < std::min(s + height, rows); ++i)
        for (Int j = t; j < std::min(t + width, columns); ++j) {
          any |= at(i, j);
          every &= at(i, j);
        }
      text += every ? '#' : any ? '+' : '.';
    }
    text += '\n';
  }
  return text;
}

RC_GTEST_PROP(MaskExplanation, CountsPairsRowsAndTiles, ()) {
  const Sample sample = draw_sample(draw_sizes());
  const Table& table = sample.table;
  const Int tile = draw_int(1, 14);
  const MaskExplanation found = explain(sample.mask, tile);
  std::string tiles;
  Int rows = 0, nothing = 0, longest = 0;
  for (Int b = 0; b < table.shape[0]; ++b)
    for (Int h = 0; h < table.shape[1]; ++h) {
      tiles += picture_of(table.shape[2], table.shape[3], tile, tile,
                          [&](Int i, Int j) { return table.at(b, h, i, j); });
      for (Int s = 0; s < table.shape[2]; ++s) {
        const Int runs = static_cast<Int>(runs_of(table, b, h, s).size());
        ++rows;
        nothing += runs == 0;
        longest = std::max(longest, runs);
      }
    }
  RC_ASSERT(found.tiles_empty == std::count(tiles.begin(), tiles.end(), '.'));
  RC_ASSERT(found.tiles_full == std::count(tiles.begin(), tiles.end(), '#'));
  RC_ASSERT(found.tiles_partial == std::count(tiles.begin(), tiles.end(), '+'));
  RC_ASSERT(found.rows == rows);
  RC_ASSERT(found.rows_with_nothing == nothing);
  RC_ASSERT(found.longest_row == longest);
  RC_ASSERT(found.pairs == static_cast<Int>(table.bits.size()));
  RC_ASSERT(found.pairs_kept == std::count(table.bits.begin(), table.bits.end(), true));
  RC_ASSERT(found.recipe == sample.mask.recipe());
}

Int step_for(Int size, Int max_size) { return std::max<Int>(1, (size + max_size - 1) / max_size); }

RC_GTEST_PROP(MaskDrawing, ShowsEveryPair, ()) {
  Sizes n = draw_sizes();
  n.batch = draw_int(1, 3);
  const Sample sample = draw_sample(n);
  const Int b = draw_int(0, sample.table.shape[0] - 1), h = draw_int(0, sample.table.shape[1] - 1);
  const Int max_size = draw_int(1, 16), step = step_for(std::max(n.queries, n.keys), max_size);
  RC_ASSERT(draw(sample.mask, b, h, max_size) ==
            picture_of(n.queries, n.keys, step, step,
                       [&](Int i, Int j) { return sample.table.at(b, h, i, j); }));
}

RC_GTEST_PROP(MaskDrawing, ShowsEveryPosition, ()) {
  const Int batch = draw_int(0, 6), size = draw_int(0, 12), rows = draw_int(1, 7),
            columns = draw_int(1, 14);
  const Table table = draw_table({1, 1, batch, size});
  RC_ASSERT(draw(SequenceMask(tensor_of(table, {batch, size})), rows, columns) ==
            picture_of(batch, size, step_for(batch, rows), step_for(size, columns),
                       [&](Int i, Int j) { return table.at(0, 0, i, j); }));
}

}  // namespace
}  // namespace maskgrad
