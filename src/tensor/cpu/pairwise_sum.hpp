// Sums whose error grows with the logarithm of the number of terms.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include <maskgrad/tensor/cpu/pool.hpp>

namespace maskgrad {

/// Adds rows of `size` numbers in a balanced binary tree over their indices (Higham 1993, "The
/// accuracy of floating point summation"). Rows are added in the order of their indices. An index
/// that is left out counts as a row of 0. So rows of 0 at the end change no bit.
template <class T>
class PairwiseSum {
 public:
  explicit PairwiseSum(std::int64_t size) : size_(size) {}
  PairwiseSum(PairwiseSum&& other) noexcept
      : size_(other.size_),
        count_(other.count_),
        is_live_(std::exchange(other.is_live_, 0)),
        level_(std::exchange(other.level_, {})),
        row_(std::exchange(other.row_, nullptr)) {}
  PairwiseSum(const PairwiseSum&) = delete;
  PairwiseSum& operator=(const PairwiseSum&) = delete;
  ~PairwiseSum() {
    for (T* row : level_) give_back(row);
    give_back(row_);
  }

  /// Memory for the next row, contents undefined.
  T* row() {
    if (!row_) row_ = static_cast<T*>(Pool::cpu().allocate(bytes()));
    return row_;
  }
  /// Adds the contents of row() as row `index`. Requires an index above all before.
  void add(std::int64_t index) {
    fold_up_to(static_cast<std::uint64_t>(index), nullptr);
    fold_up_to(count_ + 1, std::exchange(row_, nullptr));
  }
  void add() { add(static_cast<std::int64_t>(count_)); }
  /// Writes the sum, which is 0 over no rows. Must be the last call.
  void finish(T* sums) {
    if (is_live_ == 0) {
      std::fill_n(sums, size_, T{});
      return;
    }
    fold_up_to(std::bit_ceil(count_), nullptr);
    const T* total = level_[static_cast<std::size_t>(std::countr_zero(is_live_))];
    std::copy_n(total, size_, sums);
  }
  /// Calls f(row) for each partial sum, which f may scale.
  template <class F>
  void for_each_partial(F&& f) {
    for (std::size_t k = 0; k < level_.size(); ++k) {
      if (is_live_ >> k & 1) f(level_[k]);
    }
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }
  void give_back(T* row) { Pool::cpu().deallocate(row, bytes()); }

  // Level k holds the sum of 2^k rows where bit k of the count is set. All below the highest bit
  // that changes go into its level, the smallest first, beginning with `carry`, if there is one.
  void fold_up_to(std::uint64_t count, T* carry) {
    if (count == count_) return;
    const auto top = static_cast<std::size_t>(std::bit_width(count ^ count_)) - 1;
    for (std::size_t k = 0; k < top; ++k) {
      if (!(is_live_ >> k & 1)) continue;
      is_live_ &= ~(std::uint64_t{1} << k);
      if (!carry) {
        carry = std::exchange(level_[k], nullptr);
      } else {
        for (std::int64_t i = 0; i < size_; ++i) carry[i] += level_[k][i];
      }
    }
    count_ = count;
    if (!carry) return;
    // Memory of a level that is not live serves for the next row.
    T* const spare = std::exchange(level_[top], carry);
    if (row_) {
      give_back(spare);
    } else {
      row_ = spare;
    }
    is_live_ |= std::uint64_t{1} << top;
  }

  std::int64_t size_;
  std::uint64_t count_ = 0;    // rows so far, those that did not come included
  std::uint64_t is_live_ = 0;  // which levels hold a sum
  std::array<T*, 64> level_{};
  T* row_ = nullptr;
};

}  // namespace maskgrad
