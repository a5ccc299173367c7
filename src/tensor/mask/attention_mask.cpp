#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/build_mask.hpp>

namespace maskgrad {
namespace {

using detail::bits_of;
using detail::check_defined;
using detail::every_row;
using detail::runs_of;

constexpr const char* kName = "attention_mask";

Shape pairs_of(std::int64_t batch, std::int64_t heads, std::int64_t queries, std::int64_t keys) {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();
  check(queries >= 0 && keys >= 0 && queries <= kLargest && keys <= kLargest, kName,
        "sizes must be in 0..{}: {} queries, {} keys", kLargest, queries, keys);
  return Shape{batch, heads, queries, keys};
}

void check_not_negative(const char* what, std::int64_t value) {
  check(value >= 0, kName, "{} must not be negative: {}", what, value);
}

void check_bits(const Tensor& bits) {
  check(bits.dtype() == DType::kBool && bits.rank() >= 2 && bits.rank() <= 4, kName,
        "bits needs bool [S, T], [H, S, T] or [B, H, S, T], got {} {}", to_string(bits.dtype()),
        bits.shape());
}

// What lies in 0..keys-1 of lo <= j < hi.
KeyInterval clip(std::int64_t lo, std::int64_t hi, std::int64_t keys) {
  lo = std::max<std::int64_t>(lo, 0);
  hi = std::min(hi, keys);
  if (lo >= hi) return {};
  return {static_cast<std::int32_t>(lo), static_cast<std::int32_t>(hi)};
}

// A list of one run, or of none.
RunsView as_runs(const KeyInterval& interval) {
  return {&interval, interval.empty() ? std::size_t{0} : std::size_t{1}};
}

}  // namespace

template <class... Args>
AttentionMask::Recipe AttentionMask::named(fmt::format_string<Args...> format, Args&&... args) {
  Recipe recipe;
  fmt::format_to(std::back_inserter(recipe.text), format, std::forward<Args>(args)...);
  return recipe;
}

template <class IntervalOfRow>
AttentionMask AttentionMask::one_run_a_row(std::int64_t queries, std::int64_t keys, Recipe recipe,
                                           IntervalOfRow&& interval_of_row) {
  const Shape shape = pairs_of(1, 1, queries, keys);
  return build(shape, std::move(recipe),
               [&, interval = KeyInterval()](std::int64_t, std::int64_t, std::int64_t i) mutable {
                 const auto [lo, hi] = interval_of_row(i);
                 interval = clip(lo, hi, keys);
                 return as_runs(interval);
               });
}

AttentionMask AttentionMask::all(std::int64_t queries, std::int64_t keys) {
  return one_run_a_row(queries, keys, named("all"),
                       [keys](std::int64_t) { return std::pair(std::int64_t{0}, keys); });
}

AttentionMask AttentionMask::causal(std::int64_t queries, std::int64_t keys, std::int64_t offset) {
  // Beyond the sizes, nothing changes but the danger of an overflow; so for a window.
  const std::int64_t inside =
      std::clamp(offset, -std::max<std::int64_t>(queries, 0), std::max<std::int64_t>(keys, 0));
  return one_run_a_row(
      queries, keys, offset == 0 ? named("causal") : named("causal(offset {})", offset),
      [inside](std::int64_t i) { return std::pair(std::int64_t{0}, i + inside + 1); });
}

AttentionMask AttentionMask::window(std::int64_t queries, std::int64_t keys, std::int64_t left,
                                    std::int64_t right) {
  check_not_negative("left of a window", left);
  check_not_negative("right of a window", right);
  const std::int64_t before = std::min(left, queries), after = std::min(right, keys);
  return one_run_a_row(queries, keys, named("window({}, {})", left, right),
                       [=](std::int64_t i) { return std::pair(i - before, i + after + 1); });
}

AttentionMask AttentionMask::prefix(std::int64_t queries, std::int64_t keys, std::int64_t n) {
  check_not_negative("n of a prefix", n);
  return one_run_a_row(queries, keys, named("prefix({})", n), [n](std::int64_t i) {
    return std::pair(std::int64_t{0}, std::max(i + 1, n));
  });
}

AttentionMask AttentionMask::sink(std::int64_t queries, std::int64_t keys, std::int64_t n) {
  check_not_negative("n of a sink", n);
  return one_run_a_row(queries, keys, named("sink({})", n),
                       [n](std::int64_t) { return std::pair(std::int64_t{0}, n); });
}

AttentionMask AttentionMask::segments(const Tensor& ids) {
  check_defined(ids.defined());
  check((ids.dtype() == DType::kInt32 || ids.dtype() == DType::kInt64) && ids.rank() == 2, kName,
        "segments needs int32 or int64 [B, S], got {} {}", to_string(ids.dtype()), ids.shape());
  const std::int64_t size = ids.dim(1);
  const Tensor wide = ids.to(DType::kInt64);
  return build(pairs_of(ids.dim(0), 1, size, size), named("segments"),
               [&, runs = SegmentRuns(size)](std::int64_t b, std::int64_t, std::int64_t s) mutable {
                 if (s == 0) runs.read(wide.data<std::int64_t>() + b * size);
                 return runs[s];
               });
}

AttentionMask AttentionMask::padding(const SequenceMask& keys, std::int64_t queries) {
  check_defined(keys.defined());
  const std::int64_t size = keys.shape()[1];
  return build(pairs_of(keys.shape()[0], 1, queries, size), named("padding"),
               [&, runs = Runs()](std::int64_t b, std::int64_t, std::int64_t s) mutable {
                 const bool* row = keys.bits().data<bool>() + b * size;
                 if (s == 0) find_runs(row, static_cast<std::int32_t>(size), runs);
                 return RunsView(runs);
               });
}

AttentionMask AttentionMask::existing(const SequenceMask& positions) {
  return existing(positions, positions);
}

AttentionMask AttentionMask::existing(const SequenceMask& queries, const SequenceMask& keys) {
  check_defined(queries.defined() && keys.defined());
  const Shape& rows = queries.shape();
  const std::int64_t size = keys.shape()[1];
  check(rows[0] == keys.shape()[0], kName, "batches of queries {} and keys {} differ", rows,
        keys.shape());
  const bool* key_exists = keys.bits().data<bool>();
  return build(
      pairs_of(rows[0], 1, rows[1], size), named("existing"),
      [=, runs = Runs()](std::int64_t b, std::int64_t, std::int64_t s) mutable {
        if (s == 0) find_runs(key_exists + b * size, static_cast<std::int32_t>(size), runs);
        return RunsView(runs);
      },
      queries.bits().data<bool>());
}

AttentionMask AttentionMask::padding(const SequenceMask& keys) {
  check_defined(keys.defined());
  return padding(keys, keys.shape()[1]);
}

AttentionMask AttentionMask::before(const Tensor& ends, std::int64_t keys) {
  check_defined(ends.defined());
  check(ends.rank() == 2 && ends.dtype() == DType::kInt64, kName,
        "ends must be int64 [B, S], got {} {}", to_string(ends.dtype()), ends.shape());
  const std::int64_t* const end = ends.data<std::int64_t>();
  const std::int64_t queries = ends.dim(1);
  return build(pairs_of(ends.dim(0), 1, queries, keys), named("before"),
               [=, interval = KeyInterval()](std::int64_t b, std::int64_t, std::int64_t s) mutable {
                 interval = clip(0, end[b * queries + s], keys);
                 return as_runs(interval);
               });
}

AttentionMask AttentionMask::between(const Tensor& begins, const Tensor& ends, std::int64_t keys) {
  check_defined(begins.defined() && ends.defined());
  for (const Tensor* bounds : {&begins, &ends}) {
    check(bounds->rank() == 3 && bounds->dtype() == DType::kInt64, kName,
          "begins and ends must be int64 [B, H, S], got {} {}", to_string(bounds->dtype()),
          bounds->shape());
  }
  check(begins.shape() == ends.shape(), kName, "begins {} and ends {} must have one shape",
        begins.shape(), ends.shape());
  const std::int64_t *const begin = begins.data<std::int64_t>(), *const end =
                                                                     ends.data<std::int64_t>();
  const std::int64_t heads = ends.dim(1), queries = ends.dim(2);
  return build(
      pairs_of(ends.dim(0), heads, queries, keys), named("between"),
      [=, interval = KeyInterval()](std::int64_t b, std::int64_t h, std::int64_t s) mutable {
        const std::int64_t row = (b * heads + h) * queries + s;
        interval = clip(begin[row], end[row], keys);
        return as_runs(interval);
      });
}

AttentionMask AttentionMask::bits(const Tensor& bits) {
  check_defined(bits.defined());
  check_bits(bits);
  return AttentionMask::bits(bits, bits.dim(-2), bits.dim(-1));
}

AttentionMask AttentionMask::bits(const Tensor& bits, std::int64_t queries, std::int64_t keys) {
  check_defined(bits.defined());
  check_bits(bits);
  const std::int64_t rows = bits.dim(-2), columns = bits.dim(-1);
  check((rows == queries || rows == 1) && (columns == keys || columns == 1), kName,
        "bits {} do not stretch to {} queries and {} keys", bits.shape(), queries, keys);
  const std::int64_t batch = bits.rank() == 4 ? bits.dim(0) : 1;
  const std::int64_t heads = bits.rank() >= 3 ? bits.dim(-3) : 1;
  return build(pairs_of(batch, heads, queries, keys), named("bits"),
               [&, runs = Runs(), whole = KeyInterval()](std::int64_t b, std::int64_t h,
                                                         std::int64_t s) mutable {
                 const std::int64_t at = (b * heads + h) * rows + (rows == 1 ? 0 : s);
                 const bool* row = bits.data<bool>() + at * columns;
                 if (columns != keys) {
                   whole = clip(0, *row ? keys : 0, keys);
                   return as_runs(whole);
                 }
                 if (rows != 1 || s == 0) find_runs(row, static_cast<std::int32_t>(keys), runs);
                 return RunsView(runs);
               });
}

bool operator==(const AttentionMask& a, const AttentionMask& b) {
  if (a.body_ == b.body_) return true;
  if (!a.defined() || !b.defined()) return false;
  // One form for each set of pairs, so comparing forms is enough.
  return a.shape() == b.shape() && is_identical(a.body_->storage, b.body_->storage);
}

// Rows are stored in the order of (b, h, s), so with one b or one h it is the same.
AttentionMask AttentionMask::heads_as_batch() const {
  if (shape()[0] != 1 || shape()[1] == 1) return *this;
  auto* const body = new Body;
  const Ref<const Body> owner(body);
  const Tensor& storage = body_->storage;
  const Shape front = {shape()[1], 1};
  body->shape = front.concat(shape().slice(2, 4));
  body->recipe = body_->recipe;
  body->storage = storage.reshape(front.concat(storage.shape().slice(2, storage.rank())));
  body->intervals_per_row = body_->intervals_per_row;
  body->intervals = body_->intervals;
  body->bits = body_->bits;
  return AttentionMask(owner);
}

void AttentionMask::refuse_undefined() { fail(kName, "used before it was given a value"); }

std::int64_t AttentionMask::kept() const {
  std::int64_t total = 0;
  every_row(shape(), [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    for_each_run(b, h, s, [&](std::int64_t lo, std::int64_t hi) { total += hi - lo; });
    return true;
  });
  return total;
}

const Tensor& AttentionMask::rows_on(Device device) const {
  const Body& own = body();
  if (own.storage.device() == device) return own.storage;
  const std::lock_guard lock(own.uploading);
  const bool is_there = own.on_device.defined() && own.on_device.device() == device;
  if (!is_there) own.on_device = own.storage.to(device);
  return own.on_device;
}

Tensor AttentionMask::to_bits() const {
  Runs scratch;
  return bits_of(shape(), [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    return runs_of(*this, b, h, s, scratch);
  });
}

}  // namespace maskgrad
