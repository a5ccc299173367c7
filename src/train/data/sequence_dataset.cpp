#include <algorithm>
#include <array>
#include <bit>

#include <maskgrad/tensor/pad_rows.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/formats/digest.hpp>

namespace maskgrad {

SequenceDataset::SequenceDataset(std::int64_t length, std::int64_t pad)
    : length_(length), pad_(pad) {
  check(length >= 0, "data", "the length of samples must not be negative: {}", length);
}

void SequenceDataset::add(std::span<const std::int64_t> tokens, std::int64_t target) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  check(length_ == 0 || length <= length_, "data", "sample {} has {}, at most {} fit", size(),
        count_of(length, "token"), with_commas(length_));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  begin_.push_back(static_cast<std::int64_t>(tokens_.size()));
  targets_.push_back(target);
}

SequenceDataset SequenceDataset::without(std::span<const std::int64_t> ids) const {
  SequenceDataset kept(length_, pad_);
  std::vector<std::int64_t> tokens;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    tokens.clear();
    std::copy_if(tokens_.begin() + begin_[i], tokens_.begin() + begin_[i + 1],
                 std::back_inserter(tokens), [ids](std::int64_t token) {
                   return std::find(ids.begin(), ids.end(), token) == ids.end();
                 });
    kept.add(tokens, targets_[i]);
  }
  return kept;
}

std::string SequenceDataset::fingerprint() const {
  static_assert(std::endian::native == std::endian::little, "numbers are summed as they lie");
  std::uint32_t crc = 0;
  const auto add = [&crc](std::span<const std::int64_t> numbers) {
    crc = crc32c({reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()}, crc);
  };
  add(std::array{length_, pad_});
  add(begin_);  // which says how many tokens and targets follow
  add(tokens_);
  add(targets_);
  return fmt::format("{} samples, crc32c {}", size(), crc_text(crc));
}

Batch SequenceDataset::collate(std::span<const std::int64_t> indices) const {
  const auto count = std::ssize(indices);
  Tensor targets = Tensor::empty({count}, DType::kInt64);
  auto* target = targets.data<std::int64_t>();
  for (const std::int64_t i : indices) {
    check(i >= 0 && i < size(), "data", "there is no sample {}: there are {}", i, size());
    *target++ = targets_[static_cast<std::size_t>(i)];
  }
  const auto row = [&](std::int64_t b) {
    const auto i = static_cast<std::size_t>(indices[static_cast<std::size_t>(b)]);
    return std::span<const std::int64_t>(tokens_.data() + begin_[i],
                                         tokens_.data() + begin_[i + 1]);
  };
  return {pad_rows(count, pad_, length_, row), targets, Tensor::from(indices, {count})};
}

}  // namespace maskgrad
