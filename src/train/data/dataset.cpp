#include <algorithm>
#include <array>

#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/formats/digest.hpp>

namespace maskgrad {
namespace {

// Calls f(name, tensor) for each tensor that has a value.
template <class B, class F>
void for_each_tensor(B& batch, F f) {
  if (batch.inputs.defined()) f("inputs", batch.inputs);
  if (batch.targets.defined()) f("targets", batch.targets);
  if (batch.ids.defined()) f("ids", batch.ids);
  for (auto& [name, tensor] : batch.others) {
    if (tensor.defined()) f(std::string_view(name), tensor);
  }
}

Tensor rows_of(const Tensor& tensor, std::int64_t first, std::int64_t count, std::int64_t size) {
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::copy(tensor.shape().begin(), tensor.shape().end(), dims.begin());
  dims[0] = count;
  return tensor.view(first * (tensor.numel() / size),
                     Shape(std::span(dims).first(static_cast<std::size_t>(tensor.rank()))));
}

}  // namespace

std::int64_t Batch::size() const {
  const Tensor* any = nullptr;
  for_each_tensor(*this, [&](std::string_view, const Tensor& tensor) {
    if (any == nullptr) any = &tensor;
  });
  check_given(any != nullptr, "data", "a batch");
  const Tensor& counted = ids.defined() ? ids : targets.defined() ? targets : *any;
  check(counted.rank() > 0, "data", "a tensor of a batch has a row for each sample, and no number");
  return counted.dim(0);
}

const Tensor& Batch::operator[](std::string_view name) const {
  const Tensor* found = nullptr;
  for_each_tensor(*this, [&](std::string_view own, const Tensor& tensor) {
    if (own == name) found = &tensor;
  });
  check(found != nullptr, "data", "the batch has no '{}'", name);
  return *found;
}

Batch Batch::part(std::int64_t first, std::int64_t count) const {
  const std::int64_t samples = size();
  check(first >= 0 && count >= 0 && first <= samples && count <= samples - first, "data",
        "there are no {} samples from {} on in a batch of {}", count, first, samples);
  Batch result = *this;
  for_each_tensor(result, [&](std::string_view name, Tensor& tensor) {
    check(tensor.rank() > 0 && tensor.dim(0) == samples, "data",
          "'{}' is {}: it must have a row for each of the {} samples", name, tensor.shape(),
          samples);
    if (samples > 0) tensor = rows_of(tensor, first, count, samples);
  });
  return result;
}

Batch Dataset::collate_in(std::int64_t, std::span<const std::int64_t> ids) const {
  return collate(ids);
}

std::string Dataset::fingerprint() const {
  Digest digest;
  for (std::int64_t i = 0; i < size(); ++i) {
    const Batch batch = collate({&i, 1});
    for_each_tensor(batch, [&](std::string_view name, const Tensor& tensor) {
      digest.add(fmt::format("{} {} {}:", name, to_string(tensor.dtype()), tensor.shape()));
      digest.add({reinterpret_cast<const char*>(tensor.raw_data()), tensor.nbytes()});
    });
  }
  return fmt::format("{} samples, crc32c {}", size(), crc_text(digest.crc));
}

}  // namespace maskgrad
