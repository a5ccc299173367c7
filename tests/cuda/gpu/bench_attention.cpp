// How fast attention in float32 is under masks: batch 4, 4 heads, 2048 positions, 64 features.
#include <fmt/format.h>

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/random.hpp>

#include "cuda/gpu/bench.hpp"

namespace maskgrad::bench {
namespace {

constexpr std::int64_t kBatch = 4, kHeads = 4, kLength = 2048, kFeatures = 64;

struct Case {
  const char* name;
  AttentionMask mask;  // undefined: none
};

// From an eighth of all positions to all of them.
AttentionMask padding() {
  const std::vector<std::int64_t> lengths = {256, 853, 1451, 2048};
  return AttentionMask::padding(SequenceMask::from_lengths(lengths, kLength));
}

// Documents of 128 tokens, one behind the other.
AttentionMask segments() {
  Tensor ids = Tensor::empty({1, kLength}, DType::kInt64);
  for (std::int64_t i = 0; i < kLength; ++i) ids.data<std::int64_t>()[i] = i / 128;
  return AttentionMask::segments(ids);
}

std::vector<Case> cases() {
  return {{"none", {}},
          {"causal", AttentionMask::causal(kLength)},
          {"padding", padding()},
          {"window 129", AttentionMask::window(kLength, kLength, 64, 64)},
          {"segments 128", segments()}};
}

double kept_share(const AttentionMask& mask) {
  if (!mask.defined()) return 1;
  return static_cast<double>(mask.kept()) / static_cast<double>(mask.shape().numel());
}

class Inputs {
 public:
  Inputs() {
    Random random(1);
    for (Variable* x : {&q_, &k_, &v_}) *x = Variable(draw(random), Variable::kRequiresGrad);
    gradient_ = draw(random);
  }
  Variable forward(const AttentionMask& mask) const {
    return ops::scaled_dot_product_attention(q_, k_, v_, mask);
  }
  void both_ways(const AttentionMask& mask) {
    for (Variable* x : {&q_, &k_, &v_}) x->clear_grad();
    Tape tape;
    tape.backward(forward(mask), gradient_);
  }

 private:
  static Tensor draw(Random& random) {
    Tensor x = Tensor::empty({kBatch, kHeads, kLength, kFeatures}, DType::kFloat32);
    std::generate_n(x.data<float>(), x.numel(),
                    [&] { return static_cast<float>(random.uniform(-1, 1)); });
    return x.to(kCuda);
  }

  Variable q_, k_, v_;
  Tensor gradient_;
};

}  // namespace

void print_attention(std::FILE* json) {
  Inputs inputs;
  std::printf("\n%-20s %7s %12s %14s\n", "attention", "kept", "forward us", "both ways us");
  for (const Case& one : cases()) {
    const double kept = kept_share(one.mask), forward = seconds_on_device([&] {
                                                const NoGrad no_grad;
                                                inputs.forward(one.mask);
                                              }),
                 both = seconds_on_device([&] { inputs.both_ways(one.mask); });
    std::printf("%-20s %7.3f %12.1f %14.1f\n", one.name, kept, forward * 1e6, both * 1e6);
    if (json) {
      std::fprintf(json,
                   ",\n  {\"attention\": \"%s\", \"kept\": %.4f, \"forward_us\": %.2f, "
                   "\"forward_backward_us\": %.2f}",
                   one.name, kept, forward * 1e6, both * 1e6);
    }
  }
}

}  // namespace maskgrad::bench
