// Operands of one product of matrices, and what it should be.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/ops/cpu/gemm/gemm.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// Matrices a [m, k] and b [k, n] for ops::multiply_matrices, stored as a product says: between
/// NaNs, and where no vector is aligned.
template <class T>
class Operands {
 public:
  using Values = std::vector<double>;

  Operands(const ops::MatrixProduct& product, Values a, Values b)
      : d_(product), a_(std::move(a)), b_(std::move(b)) {
    store();
  }
  /// Small whole numbers, whose sums are exact in any order.
  static Operands whole(Random& random, const ops::MatrixProduct& d) {
    const auto draw = [&](std::int64_t n) {
      Values values(static_cast<std::size_t>(n));
      for (double& x : values) x = static_cast<double>(random.integer(-5, 5));
      return values;
    };
    return Operands(d, draw(d.m * d.k), draw(d.k * d.n));
  }
  /// Numbers in [-1, 1) as T holds them, whose sums round.
  static Operands real(Random& random, const ops::MatrixProduct& d) {
    const auto draw = [&](std::int64_t n) {
      return to_doubles(uniform(random, {n}, -1, 1).to(dtype_of<T>));
    };
    return Operands(d, draw(d.m * d.k), draw(d.k * d.n));
  }

  const ops::MatrixProduct& product() const { return d_; }
  double a(std::int64_t i, std::int64_t p) const { return a_[at(i * d_.k + p)]; }
  double b(std::int64_t p, std::int64_t j) const { return b_[at(p * d_.n + j)]; }
  void set_a(std::int64_t i, std::int64_t p, double x) { a_[at(i * d_.k + p)] = x, store(); }
  void set_b(std::int64_t p, std::int64_t j, double x) { b_[at(p * d_.n + j)] = x, store(); }

  /// The same matrices for another way to store or to sum them.
  Operands as(const ops::MatrixProduct& other) const { return Operands(other, a_, b_); }
  /// The first `rows` rows of a, and all of b.
  Operands first_rows(std::int64_t rows) const {
    ops::MatrixProduct d = d_;
    d.m = rows;
    return Operands(d, Values(a_.begin(), a_.begin() + rows * d.k), b_);
  }

  /// The product, written between guards that must be left alone.
  std::vector<T> run(const ops::RowFinish<T>& finish = {}) const {
    constexpr std::size_t kGuards = 19;
    constexpr T kGuard = 12345;
    const std::size_t size = at(d_.m * d_.n);
    std::vector<T> y(size + 2 * kGuards, kGuard);
    ops::multiply_matrices(d_, stored_a_.data() + 1, stored_b_.data() + 1, y.data() + kGuards,
                           finish);
    bool is_untouched = true;
    for (std::size_t i = 0; i < kGuards; ++i) {
      is_untouched &= y[i] == kGuard && y[kGuards + size + i] == kGuard;
    }
    EXPECT_TRUE(is_untouched) << "wrote outside of y";
    return {y.begin() + kGuards, y.end() - kGuards};
  }

  /// sum_p a(i, p) b(p, j), in double.
  double element(std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t p = 0; p < d_.k; ++p) sum += a(i, p) * b(p, j);
    return sum;
  }
  Values expected() const {
    Values y(at(d_.m * d_.n));
    for (std::int64_t i = 0; i < d_.m; ++i) {
      for (std::int64_t p = 0; p < d_.k; ++p) {
        for (std::int64_t j = 0; j < d_.n; ++j) y[at(i * d_.n + j)] += a(i, p) * b(p, j);
      }
    }
    return y;
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  // NaN, the matrix or its transpose, NaN.
  static std::vector<T> stored(const Values& x, std::int64_t rows, std::int64_t columns,
                               bool transpose) {
    std::vector<T> result(x.size() + 2, static_cast<T>(kNaN));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        const std::int64_t to = transpose ? j * rows + i : i * columns + j;
        result[at(to + 1)] = static_cast<T>(x[at(i * columns + j)]);
      }
    }
    return result;
  }
  void store() {
    stored_a_ = stored(a_, d_.m, d_.k, d_.transpose_a);
    stored_b_ = stored(b_, d_.k, d_.n, d_.transpose_b);
  }

  ops::MatrixProduct d_;
  Values a_, b_;  // row-major
  std::vector<T> stored_a_, stored_b_;
};

inline std::string to_string(const ops::MatrixProduct& d) {
  return fmt::format("m {} n {} k {}{}{} rows per sample {}{}", d.m, d.n, d.k,
                     d.transpose_a ? " a^T" : "", d.transpose_b ? " b^T" : "", d.rows_per_sample,
                     d.rows_are_samples ? ", rows are samples" : "");
}

/// Every way to transpose the factors of a product.
inline std::vector<ops::MatrixProduct> every_transpose(ops::MatrixProduct d) {
  std::vector<ops::MatrixProduct> all;
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      d.transpose_a = a;
      d.transpose_b = b;
      all.push_back(d);
    }
  }
  return all;
}

}  // namespace maskgrad::test
