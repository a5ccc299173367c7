// Matrices of doubles, multiplied in plain loops: what layers are compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>

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

/// The rows of x [..., D].
inline Matrix rows(const Tensor& x) {
  const auto features = static_cast<std::size_t>(x.dim(-1));
  return rows_of(to_doubles(x), 0, static_cast<std::size_t>(x.numel()) / features, features);
}
/// All elements in row-major order.
inline std::vector<double> flat(const Matrix& matrix) {
  std::vector<double> all;
  for (const auto& row : matrix) all.insert(all.end(), row.begin(), row.end());
  return all;
}
/// `parameters` by name, each as the rows of a matrix; one row for a vector.
inline Matrix weights(const ParameterBuffer& parameters, const std::string& name) {
  return rows(parameters.named_values().at(name));
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
/// x weight + bias, for parameters of these names; x weight where there is no such bias.
inline Matrix affine(const Matrix& x, const ParameterBuffer& parameters, const std::string& weight,
                     const std::string& bias) {
  const Matrix y = product(x, weights(parameters, weight));
  const bool has_bias = parameters.named_values().contains(bias);
  return has_bias ? shifted(y, weights(parameters, bias)[0]) : y;
}

inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }
inline double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kSilu:
      return x * logistic(x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kElu:
      return x > 0 ? x : std::expm1(x);
    case Activation::kSigmoid:
      return logistic(x);
  }
  return kNaN;
}
inline Matrix activated(Activation activation, Matrix x) {
  for (auto& row : x) {
    for (double& value : row) value = activated(activation, value);
  }
  return x;
}
/// a * b, element by element. A column b multiplies each column of a.
inline Matrix times(Matrix a, const Matrix& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) a[i][j] *= b[i][b[i].size() == 1 ? 0 : j];
  }
  return a;
}
inline Matrix sum(Matrix a, const Matrix& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = shifted({a[i]}, b[i])[0];
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

/// Matrices of as many rows, beside one another.
inline Matrix side_by_side(const std::vector<Matrix>& parts) {
  Matrix y(parts.empty() ? 0 : parts[0].size());
  for (const Matrix& part : parts) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i].insert(y[i].end(), part[i].begin(), part[i].end());
    }
  }
  return y;
}

/// softmax(q k^T / sqrt(d)) v where the pair i, j counts share(i, j) times, from 0 to 1; 0 for a
/// query whose pairs do not count.
inline Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v,
                     const std::function<double(std::size_t, std::size_t)>& share) {
  Matrix y(q.size(), std::vector<double>(v.empty() ? 0 : v[0].size()));
  for (std::size_t i = 0; i < q.size(); ++i) {
    std::vector<double> weight(k.size());
    double total = 0;
    for (std::size_t j = 0; j < k.size(); ++j) {
      double score = 0;
      for (std::size_t d = 0; d < q[i].size(); ++d) score += q[i][d] * k[j][d];
      weight[j] = share(i, j) * std::exp(score / std::sqrt(static_cast<double>(q[i].size())));
      total += weight[j];
    }
    for (std::size_t j = 0; j < k.size() && total > 0; ++j) {
      for (std::size_t d = 0; d < v[j].size(); ++d) y[i][d] += weight[j] / total * v[j][d];
    }
  }
  return y;
}

}  // namespace maskgrad::test
