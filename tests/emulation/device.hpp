// The emulated device as tests see it.
#pragma once

#include <cstddef>
#include <functional>

namespace maskgrad::emulation {

/// What the next calls of CUDA's find: a driver for this version of CUDA (12040 for 12.4; 0: none),
/// and so many GPUs, on which kernels are found with this cudaError_t. While one lives.
class Installed {
 public:
  Installed(int driver, int gpus, int error_of_kernels = 0);
  ~Installed();
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;

 private:
  int driver_, gpus_, error_of_kernels_;
};

/// The kernels are for this compute capability, 75 for 7.5, while it lives.
class KernelsFor {
 public:
  explicit KernelsFor(int version);
  ~KernelsFor();
  KernelsFor(const KernelsFor&) = delete;
  KernelsFor& operator=(const KernelsFor&) = delete;

 private:
  int before_;
};

/// The device reads the host's memory by itself, when the copy is done. While one lives.
class ReadsMemoryOfTheHost {
 public:
  ReadsMemoryOfTheHost();
  ~ReadsMemoryOfTheHost();
  ReadsMemoryOfTheHost(const ReadsMemoryOfTheHost&) = delete;
  ReadsMemoryOfTheHost& operator=(const ReadsMemoryOfTheHost&) = delete;
};

/// The device gives out no more memory than so many bytes beyond what is in use; a graph needs
/// some, too. While one lives.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t more);
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  std::size_t before_;
};

/// Kernels and copies that wait in the stream.
std::size_t waiting();

}  // namespace maskgrad::emulation
