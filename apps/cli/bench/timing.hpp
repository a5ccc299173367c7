// Timing for `maskgrad bench`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::apps {

/// What is done in the time that a figure tells, in units of a rate times seconds.
struct WorkDone {
  double amount;
  const char* unit;  // of the rate: "GFLOP/s"
};

/// One figure of a benchmark, from several repeats.
struct Result {
  std::string subject;   // "blog_step_b2"
  std::string quantity;  // what is measured of it, ending with the unit: "us"
  double median, min, p90;
  std::optional<double> kept_share = {};  // of the pairs of its mask, where it has one
  std::optional<WorkDone> work = {};      // where the figure is in us, and the work can be counted
  DeviceType device = DeviceType::kCpu;   // where it was taken

  /// Its name in JSON.
  std::string key() const { return subject + "_" + quantity; }
  /// "106 GFLOP/s", or nothing.
  std::string rate() const;
};

/// How often a figure is taken where one repeat is quick.
inline constexpr std::size_t kRepeats = 31;

/// How often to take a figure when one repeat takes this long: kRepeats, or fewer, but at least 5,
/// to stay near two seconds.
std::size_t repeats_for(double seconds);

/// Returns when `x` has its numbers, which a device may still compute.
void wait_for(const Tensor& x);

double seconds_of(const std::function<void()>& f);

Result summarize(const std::string& subject, const std::string& quantity,
                 std::vector<double> figures);

/// Times f(), which does `count` things, after a warm-up that decides on the number of repeats.
/// Figures are per thing, in seconds times `unit`. Announces on standard error what takes long.
Result measure(const std::string& subject, const std::string& quantity, double unit,
               std::int64_t count, const std::function<void()>& f);

/// Times f() in us, so often that one repeat takes about a millisecond.
Result measure_often(const std::string& subject, const std::function<void()>& f);

}  // namespace maskgrad::apps
