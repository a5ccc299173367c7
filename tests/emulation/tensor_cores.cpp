// Tensor cores, by the layout of elements over lanes in the PTX ISA: "Matrix Fragments for
// mma.m16n8k8".
#include <bit>

#include "emulation/emulator.hpp"

namespace maskgrad::emulation {
namespace {

constexpr int kRows = 16, kColumns = 8, kTerms = 8;

// What a lane gives.
struct Given {
  std::uint32_t a[4], b[2];
};

float tf32(std::uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000U); }

}  // namespace

void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                      Place place) {
  const Given mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const Slot* const slots = exchange(0xffffffffU, &mine, sizeof mine, place);
  float left[kRows][kTerms], right[kTerms][kColumns];
  for (int lane = 0; lane < 32; ++lane) {
    Given given;
    std::memcpy(&given, slots[lane].data(), sizeof given);
    const int group = lane / 4, in_group = lane % 4;
    for (int i = 0; i < 4; ++i) left[group + i % 2 * 8][in_group + i / 2 * 4] = tf32(given.a[i]);
    for (int i = 0; i < 2; ++i) right[in_group + i * 4][group] = tf32(given.b[i]);
  }
  const int group = static_cast<int>(current->lane) / 4,
            in_group = static_cast<int>(current->lane) % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = group + i / 2 * 8, column = in_group * 2 + i % 2;
    for (int k = 0; k < kTerms; ++k) d[i] += left[row][k] * right[k][column];
  }
}

}  // namespace maskgrad::emulation
