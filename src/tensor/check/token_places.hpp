// Where the tokens of a batch stand in their documents. Internal to src/tensor/check.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::check_detail {

/// The document of a token, numbered from 0 without gaps, and its position there. Padding has -1.
struct TokenPlace {
  std::int64_t document = -1, position = -1;

  bool exists() const { return document >= 0; }
};

class TokenPlaces {
 public:
  /// documents: int64 of `shape` [B, S], negative for padding; undefined: each sequence is one.
  TokenPlaces(const Shape& shape, const Tensor& documents);

  const TokenPlace& operator[](std::int64_t token) const {
    return places_[static_cast<std::size_t>(token)];
  }
  std::int64_t size() const { return std::ssize(places_); }
  std::int64_t positions() const { return positions_; }
  std::int64_t documents() const { return std::ssize(numbers_); }
  std::int64_t longest() const { return longest_; }
  /// "5 of document 1": the position, and the document by the number that the caller gave the
  /// document.
  std::string name(std::int64_t token) const;

 private:
  std::vector<TokenPlace> places_;
  std::vector<std::int64_t> numbers_;  // of each document, as the caller gave it
  std::int64_t positions_ = 0, longest_ = 0;
};

}  // namespace maskgrad::check_detail
