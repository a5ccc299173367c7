#include <maskgrad/layers/adaptive_attention/window_attention.hpp>

namespace maskgrad {

WindowAttention::WindowAttention(std::int64_t features, std::vector<std::int64_t> windows,
                                 const MultiHeadAttentionOptions& options)
    : MultiHeadAttention("WindowAttention", MaskRule::kUses, features, std::ssize(windows),
                         options),
      windows_(std::move(windows)) {
  for (const std::int64_t window : windows_) {
    check(window >= 0, "WindowAttention", "a window must not be negative: {}", window);
  }
}

Variable WindowAttention::attend(const Variable&, const Variable&, Pass&) {
  fail("WindowAttention", "does not attend to another sequence: its windows are within one");
}

MultiHeadAttention::Attended WindowAttention::attended(const Variable& x, Pass& pass) {
  return {pass.attention(x, attention_kind(), windows_)};
}

}  // namespace maskgrad
