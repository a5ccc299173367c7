#include <algorithm>
#include <map>

#include <maskgrad/tensor/check/token_places.hpp>

namespace maskgrad::check_detail {

TokenPlaces::TokenPlaces(const Shape& shape, const Tensor& documents) {
  const std::int64_t length = shape[1];
  const std::int64_t* given = documents.defined() ? documents.data<std::int64_t>() : nullptr;
  std::map<std::int64_t, std::int64_t> dense;  // of each number that the caller gave
  std::vector<std::int64_t> lengths;
  places_.resize(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const std::int64_t number = given ? given[i] : i / length;
    if (number < 0) continue;
    const auto [found, is_new] = dense.try_emplace(number, std::ssize(numbers_));
    if (is_new) {
      numbers_.push_back(number);
      lengths.push_back(0);
    }
    std::int64_t& next = lengths[static_cast<std::size_t>(found->second)];
    places_[static_cast<std::size_t>(i)] = {found->second, next++};
    longest_ = std::max(longest_, next);
    ++positions_;
  }
}

std::string TokenPlaces::name(std::int64_t token) const {
  const auto& [document, position] = (*this)[token];
  return fmt::format("{} of document {}", position, numbers_[static_cast<std::size_t>(document)]);
}

}  // namespace maskgrad::check_detail
