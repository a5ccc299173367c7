// Memory that is read later, and must not be written to until then.
#pragma once

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// A tensor, and whether somebody has written to its memory since the Watched was made. A write is
/// a request for the elements through a Tensor that is not const. Writes through a pointer that was
/// taken before are not seen.
class Watched {
 public:
  Watched() = default;
  explicit Watched(Tensor x)
      : tensor_(std::move(x)), version_(tensor_.defined() ? tensor_.storage_->watch() : 0) {}

  const Tensor& tensor() const { return tensor_; }
  /// Whether x is in the same memory, perhaps in another part of it.
  bool shares_memory_with(const Tensor& x) const { return tensor_.storage_ == x.storage_; }
  bool is_changed() const { return tensor_.defined() && tensor_.storage_->version() != version_; }

 private:
  Tensor tensor_;
  std::uint32_t version_ = 0;
};

/// While it lives, writes to the memory of a tensor are not noted.
class UnseenWrites {
 public:
  explicit UnseenWrites(const Tensor& x) : storage_(x.storage_), version_(storage_->version()) {}
  ~UnseenWrites() { storage_->set_version(version_); }
  UnseenWrites(const UnseenWrites&) = delete;
  UnseenWrites& operator=(const UnseenWrites&) = delete;

 private:
  Ref<Storage> storage_;
  std::uint32_t version_;
};

}  // namespace maskgrad
