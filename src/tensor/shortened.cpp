#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {

std::string shortened(std::string_view text) {
  constexpr std::size_t kMost = 60, kLongestCharacter = 4;
  if (text.size() <= kMost) return std::string(text);
  const auto goes_on = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  std::size_t end = kMost;
  while (kMost - end < kLongestCharacter && goes_on(end)) --end;
  if (goes_on(end)) end = kMost;  // no UTF-8
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace maskgrad
