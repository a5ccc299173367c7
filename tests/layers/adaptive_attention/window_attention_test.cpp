#include <maskgrad/layers/adaptive_attention/window_attention.hpp>
#include <maskgrad/layers/check_layer.hpp>

#include "layers/adaptive_attention/attention_support.hpp"
#include "layers/generate/read_in_chunks.hpp"

namespace maskgrad {
namespace {

using test::Drawn;
using test::error_of;
using test::kept;
using test::same_bits;
using test::uniform;

constexpr std::int64_t kFeatures = 8;
const std::vector<std::int64_t> kWindows = {0, 1, 2, 100};

bool add_sample(const char* name, const MultiHeadAttentionOptions& options) {
  return register_layer({name, [=] {
                           return std::make_unique<WindowAttention>(
                               LayerSample::kFeatures, std::vector<std::int64_t>{0, 1, 2, 1, 7},
                               options);
                         }});
}
const bool kRegistered =
    add_sample("WindowAttention", {}) &&
    add_sample("CausalWindowAttention",
               {.key_heads = 1, .kind = AttentionKind::kCausal, .bias = false});

// The pairs of each head [B, H, S, S], from the numbers of the positions.
AttentionMask pairs(const Variable& x, const std::vector<std::int64_t>& windows) {
  const std::int64_t length = x.dim(1);
  std::vector<double> bits;
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    const std::vector<std::int64_t> numbers = test::numbers_of(x.mask(), b, length);
    for (const std::int64_t window : windows) {
      for (const std::int64_t query : numbers) {
        for (const std::int64_t key : numbers) {
          bits.push_back(query >= 0 && key >= 0 && std::abs(query - key) <= window);
        }
      }
    }
  }
  return AttentionMask::bits(test::bits(bits, {x.dim(0), std::ssize(windows), length, length}));
}

TEST(WindowAttention, IsAttentionOverThePairsOfItsWindows) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const AttentionKind kind : {AttentionKind::kBidirectional, AttentionKind::kCausal}) {
      for (const SequenceMask& mask : {SequenceMask(), test::attention_mask()}) {
        const MultiHeadAttentionOptions options = {.kind = kind};
        Drawn<WindowAttention> windows(dtype, kFeatures, kWindows, options);
        Drawn<MultiHeadAttention> plain(dtype, kFeatures, 4, options);
        const Variable x = test::attention_input(kFeatures, mask, dtype);
        Pass pass;
        pass.set_pairs(pairs(x, kWindows));
        EXPECT_TRUE(same_bits(kept(windows.layer(x)), kept(plain.layer(x, pass))));
        EXPECT_TRUE(windows.layer(x).mask() == mask);
      }
    }
  }
}

TEST(WindowAttention, SeesNothingOutsideOfItsWindows) {
  constexpr std::int64_t kLength = 200;
  Drawn<WindowAttention> drawn(DType::kFloat32, 4, std::vector<std::int64_t>{3, 3});
  Random random(3);
  Tensor x = uniform(random, {1, kLength, 4}).to(DType::kFloat32);
  const Tensor before = drawn.layer(Variable(x.clone())).value().clone();
  for (std::int64_t i = 100 * 4; i < kLength * 4; ++i) x.data<float>()[i] = NAN;
  const Tensor after = drawn.layer(Variable(x)).value();
  EXPECT_TRUE(same_bits(after.view(0, {97, 4}), before.view(0, {97, 4})));
  EXPECT_TRUE(std::isnan(after.data<float>()[97 * 4]));
}

TEST(WindowAttention, KeepsKeysInPartWithinItsWindows) {
  Drawn<WindowAttention> drawn(DType::kFloat64, kFeatures, kWindows);
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  const Variable keep(Tensor::full({3, 5}, 1, DType::kFloat64));
  Pass pass;
  EXPECT_TRUE(test::is_close(kept(drawn.layer.attend_kept(x, keep, pass)),
                             test::to_doubles(kept(drawn.layer(x))), 1e-12));
}

TEST(WindowAttention, KeepsToThePairsOfThePass) {
  Drawn<WindowAttention> drawn(DType::kFloat64, kFeatures, kWindows);
  const Variable x = test::attention_input(kFeatures, test::attention_mask());
  Pass own, both;
  own.set_pairs(AttentionMask::causal(5));
  both.set_pairs(AttentionMask::causal(5) & pairs(x, kWindows));
  Drawn<MultiHeadAttention> plain(DType::kFloat64, kFeatures, 4);
  EXPECT_TRUE(same_bits(kept(drawn.layer(x, own)), kept(plain.layer(x, both))));
}

TEST(WindowAttention, GivesASampleTheSameBitsWhateverStandsAroundIt) {
  for (const DType dtype : test::kFloatingDTypes) {
    Drawn<WindowAttention> drawn(dtype, kFeatures, kWindows);
    test::expect_batch_invariance(drawn.layer, kFeatures, test::attention_mask(), dtype);
  }
}

TEST(WindowAttention, ReadsOnFromACacheWithTheBitsOfTheWholeSequence) {
  Drawn<WindowAttention> drawn(DType::kFloat32, kFeatures, std::vector<std::int64_t>{0, 5, 17, 99},
                               MultiHeadAttentionOptions{.kind = AttentionKind::kCausal});
  Random random(4);
  const Tensor x = uniform(random, {1, 40, kFeatures}).to(DType::kFloat32);
  const Tensor whole = drawn.layer(Variable(x)).value();
  const Tensor chunks = test::read_in_chunks(x, {1, 30, 2, 1, 6}, drawn.layer);
  EXPECT_TRUE(same_bits(chunks, whole));
}

TEST(WindowAttention, GivesNothingOfNothing) {
  test::expect_nothing_of_nothing(
      [] { return std::make_unique<WindowAttention>(kFeatures, kWindows); }, kFeatures);
}

TEST(WindowAttention, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] {
              WindowAttention(8, {1, -2});
            }),
            "[WindowAttention] a window must not be negative: -2");
  EXPECT_EQ(error_of([] { WindowAttention(8, {}); }),
            "[WindowAttention] 0 heads do not divide 8 features");
  Drawn<WindowAttention> drawn(DType::kFloat64, 8, kWindows);
  EXPECT_EQ(error_of([&] {
              drawn.layer(Variable(Tensor::zeros({2, 8}, DType::kFloat64)));
            }),
            "[WindowAttention] needs [B, S, 8], got (2, 8)");
  EXPECT_EQ(test::error_of_attending_elsewhere(drawn.layer, 8),
            "[WindowAttention] does not attend to another sequence: its windows are within one");
}

}  // namespace
}  // namespace maskgrad
