#include "recipes/phase_settings.hpp"

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/data_loader.hpp>

namespace maskgrad::apps {
namespace {

// What ends a run early leaves out phases of it.
void check_runs_to_its_end(const Settings& settings, const char* recipe) {
  check(settings.real("minutes") == 0, recipe,
        "--minutes could end the run within any of its phases, which are shares of --steps: take "
        "--minutes 0; or begin a run of as many --steps as there is time for");
  const std::int64_t epochs = settings.integer("epochs"), steps = settings.integer("steps"),
                     of_epoch =
                         count_batches(settings.integer("samples"), settings.integer("batch_size"));
  check(epochs == 0 || epochs * of_epoch >= steps, recipe,
        "--epochs {} ends the run after {} of its {} steps, and its phases are shares of all of "
        "them: take --epochs 0; or begin a run of --steps {}",
        epochs, with_commas(epochs * of_epoch), with_commas(steps), epochs * of_epoch);
}

}  // namespace

Setting share_setting(const char* key, double value, const char* help) {
  return Setting{key, value, fmt::format("share {}", help)}.at_least(0).at_most(1);
}

Setting size_setting(const char* key, std::int64_t value, const char* help) {
  return Setting{key, value, help}.at_least(1).at_most(4096);
}

Setting steps_setting(std::int64_t value) {
  return Setting{"steps", value, "steps of the run, of which its phases are shares"}.fixed(
      "its phases are shares of them");
}

void check_phases(const Settings& settings, std::span<const char* const> shares,
                  const char* recipe) {
  constexpr double kRounding = 1e-12;  // 0.34 + 0.56 + 0.1 is more than 1
  check(settings.integer("steps") > 0, recipe,
        "--steps must be above 0: the phases of the run are shares of them");
  double sum = 0;
  for (const char* share : shares) sum += settings.real(share);
  check(sum <= 1 + kRounding, recipe,
        "the phases take {} of the steps; they may take all of them at most", sum);
  check_runs_to_its_end(settings, recipe);
}

void check_whole_batches(const Settings& settings, const char* recipe) {
  const std::int64_t parts = settings.integer("micro_batches");
  check(parts == 1, recipe,
        "--micro-batches is {}, and the loss is no sum over samples: parts of a batch would have "
        "another; take 1, and a smaller --batch-size where memory ends",
        parts);
}

}  // namespace maskgrad::apps
