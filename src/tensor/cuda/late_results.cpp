#include <algorithm>

#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/late_results.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "late_results";
constexpr Device kDevice{DeviceType::kCuda, 0};

}  // namespace

LateResults::LateResults() {
  need_cuda_build();
  shared_ = cuda_steps->allocate_shared(kMostWaiting * kMostNumbers);
}

LateResults::~LateResults() { cuda_steps->free_shared(shared_); }

void LateResults::send(std::span<const Tensor> numbers) {
  check(numbers.size() <= kMostNumbers, kName, "sends up to {} numbers, not {}", kMostNumbers,
        numbers.size());
  for (const Tensor& number : numbers) {
    check_given(number.defined(), kName, "a number");
    check(number.device() == kDevice && number.numel() == 1, kName,
          "sends scalars that are on cuda, not {} on {}", number.shape(),
          to_string(number.device().type));
  }
  check(waiting() < kMostWaiting, kName, "{} steps are waiting to be read", kMostWaiting);
  const std::size_t row = sent_ % kMostWaiting;
  dispatch_device(
      kDevice, kLateResultsCuda, [] {}, numbers, shared_, static_cast<std::int64_t>(row));
  rows_[row] = {cuda_steps->number(), numbers.size()};
  ++sent_;
}

std::span<const double> LateResults::read() {
  check(waiting() > 0, kName, "nothing is waiting to be read");
  const std::size_t at = read_ % kMostWaiting;
  const Row& row = rows_[at];
  cuda_steps->wait_for(row.step);
  ++read_;
  std::copy_n(shared_ + at * kMostNumbers, row.count, numbers_.begin());
  return {numbers_.data(), row.count};
}

}  // namespace maskgrad
