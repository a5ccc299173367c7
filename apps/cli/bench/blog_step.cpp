// The benchmarks blog-step and mask-overhead.
#include <fmt/format.h>

#include "cli/bench/benchmarks.hpp"
#include "cli/bench/blog_steps.hpp"

namespace maskgrad::apps {
namespace {

Result time_blog_step(std::int64_t batch_size, Device device) {
  BlogSteps steps(batch_size, "key", "never", device);
  return measure(fmt::format("blog_step_b{}", batch_size), "us", 1e6, steps.count,
                 [&] { steps(); });
}

// The two masks in turns, so that what else the machine does falls on both.
Result time_mask_overhead(std::int64_t batch_size) {
  BlogSteps masked(batch_size, "key"), plain(batch_size, "none");
  std::vector<double> percents;
  for (std::size_t i = 0; i < kRepeats + 1; ++i) {
    const double with = seconds_of([&] { masked(); }), without = seconds_of([&] { plain(); });
    if (i > 0) percents.push_back(100 * (with / without - 1));
  }
  return summarize(fmt::format("mask_overhead_b{}", batch_size), "percent", std::move(percents));
}

}  // namespace

std::vector<Result> bench_blog_step(Device device) {
  return {time_blog_step(2, device), time_blog_step(100, device)};
}

std::vector<Result> bench_mask_overhead() {
  return {time_mask_overhead(2), time_mask_overhead(100)};
}

}  // namespace maskgrad::apps
