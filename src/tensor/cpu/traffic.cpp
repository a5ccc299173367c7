#include <atomic>

#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad {
namespace {

std::atomic<std::uint64_t> total_copied{0}, total_filled{0}, total_syncs{0};

}  // namespace

Traffic Traffic::so_far() { return {total_copied, total_filled, total_syncs}; }

void Traffic::add_copied(std::size_t bytes) {
  total_copied.fetch_add(bytes, std::memory_order_relaxed);
}

void Traffic::add_filled(std::size_t bytes) {
  total_filled.fetch_add(bytes, std::memory_order_relaxed);
}

void Traffic::add_sync() { total_syncs.fetch_add(1, std::memory_order_relaxed); }

}  // namespace maskgrad
