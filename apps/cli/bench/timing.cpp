#include "cli/bench/timing.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "cli/output.hpp"

namespace maskgrad::apps {

std::string Result::rate() const {
  return work ? fmt::format("{:.3g} {}", work->amount / (median * 1e-6), work->unit) : "";
}

std::size_t repeats_for(double seconds) {
  constexpr double kSeconds = 2;
  return static_cast<std::size_t>(
      std::clamp(kSeconds / std::max(seconds, 1e-9), 5.0, static_cast<double>(kRepeats)));
}

void wait_for(const Tensor& x) {
  if (x.device() != Device{} && x.numel() > 0) x.view(0, {}).to(Device{});
}

double seconds_of(const std::function<void()>& f) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result summarize(const std::string& subject, const std::string& quantity,
                 std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return {subject, quantity, figures[figures.size() / 2], figures.front(),
          figures[figures.size() * 9 / 10]};
}

Result measure(const std::string& subject, const std::string& quantity, double unit,
               std::int64_t count, const std::function<void()>& f) {
  const double once = seconds_of(f);
  const std::size_t repeats = repeats_for(once);
  if (static_cast<double>(repeats) * once > 1) {
    write_message(
        fmt::format("measuring {}_{}: {} times {:.2f} s\n", subject, quantity, repeats, once));
  }
  std::vector<double> figures;
  for (std::size_t i = 0; i < repeats; ++i) {
    figures.push_back(unit * seconds_of(f) / static_cast<double>(count));
  }
  return summarize(subject, quantity, std::move(figures));
}

Result measure_often(const std::string& subject, const std::function<void()>& f) {
  f();
  const auto count = static_cast<std::int64_t>(1 + 1e-3 / seconds_of(f));
  return measure(subject, "us", 1e6, count, [&] {
    for (std::int64_t i = 0; i < count; ++i) f();
  });
}

}  // namespace maskgrad::apps
