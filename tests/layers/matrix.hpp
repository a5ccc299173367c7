// Matrices of doubles, multiplied in plain loops: what layers are compared with.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "support/tensors.hpp"

namespace maskgrad::test {

using Matrix = std::vector<std::vector<double>>;

/// `count` rows of `columns` values, from row `first` on.
inline Matrix rows_of(const std::vector<double>& values, std::size_t first, std::size_t count,
                      std::size_t columns) {
  Matrix matrix;
  for (std::size_t i = first; i < first + count; ++i) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i * columns);
    matrix.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(columns));
  }
  return matrix;
}
inline Matrix matrix_of(const Tensor& x) {
  return rows_of(to_doubles(x), 0, static_cast<std::size_t>(x.dim(0)),
                 static_cast<std::size_t>(x.dim(1)));
}

inline Matrix product(const Matrix& a, const Matrix& b) {
  Matrix y(a.size(), std::vector<double>(b.empty() ? 0 : b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < b[0].size(); ++j) y[i][j] += a[i][k] * b[k][j];
    }
  }
  return y;
}
/// Adds `bias` to each row.
inline Matrix shifted(Matrix a, const std::vector<double>& bias) {
  for (auto& row : a) {
    for (std::size_t j = 0; j < row.size(); ++j) row[j] += bias[j];
  }
  return a;
}
/// Columns first .. first+count-1.
inline Matrix columns(const Matrix& a, std::size_t first, std::size_t count) {
  Matrix y;
  for (const auto& row : a) {
    const auto begin = row.begin() + static_cast<std::ptrdiff_t>(first);
    y.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return y;
}

/// softmax(q k^T / sqrt(d)) v over the pairs where keeps(i, j); 0 for a query that keeps none.
inline Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v,
                     const std::function<bool(std::size_t, std::size_t)>& keeps) {
  Matrix y(q.size(), std::vector<double>(v.empty() ? 0 : v[0].size()));
  for (std::size_t i = 0; i < q.size(); ++i) {
    std::vector<double> weight(k.size());
    double total = 0;
    for (std::size_t j = 0; j < k.size(); ++j) {
      double score = 0;
      for (std::size_t d = 0; d < q[i].size(); ++d) score += q[i][d] * k[j][d];
      weight[j] = keeps(i, j) ? std::exp(score / std::sqrt(static_cast<double>(q[i].size()))) : 0;
      total += weight[j];
    }
    for (std::size_t j = 0; j < k.size() && total > 0; ++j) {
      for (std::size_t d = 0; d < v[j].size(); ++d) y[i][d] += weight[j] / total * v[j][d];
    }
  }
  return y;
}

}  // namespace maskgrad::test
