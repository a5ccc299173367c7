#include <algorithm>

#include <maskgrad/layers/generate/generate_in_windows.hpp>
#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad {

Tokens generate_in_windows(const LanguageModel& model, const Tokens& prompt, std::int64_t window,
                           const GenerateOptions& options) {
  check(window >= 1, "generate", "the window must be at least 1, not {}", window);
  const std::int64_t kept = std::max<std::int64_t>(window / 2, 1);
  Tokens read = prompt, made;
  bool ended = false;
  GenerateOptions in_window = options;
  in_window.stop = {};
  in_window.stop_when = {};
  in_window.on_token = [&](std::size_t i, std::int64_t token) {
    read.push_back(token);
    made.push_back(token);
    ended = std::ranges::find(options.stop, token) != options.stop.end() ||
            (options.stop_when && options.stop_when(made));
    if (options.on_token && !options.on_token(i, token)) ended = true;
    return !ended;
  };
  for (std::uint64_t number = 0;; ++number) {
    if (number > 0) in_window.seed = Random(options.seed, stream_of("window"), number).bits64();
    if (std::ssize(read) > window) read.erase(read.begin(), read.end() - kept);
    // The last token of all is not read any more.
    in_window.tokens = std::min(options.tokens - std::ssize(made), window - std::ssize(read) + 1);
    const Tokens from = read;
    generate(model, {&from, 1}, in_window);
    if (ended || std::ssize(made) >= options.tokens) return made;
  }
}

}  // namespace maskgrad
