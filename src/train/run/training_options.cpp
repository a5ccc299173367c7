#include <fmt/format.h>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/train/run/training_options.hpp>
#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad {

Settings settings_of(const TrainingOptions& options) {
  check(options.threads >= 0, "train", "threads must be at least 0, not {}", options.threads);
  check_device_name(options.device, "device");
  Settings settings(training_settings(options.name));
  const auto set = [&](const char* key, const auto& value) {
    settings.set(key, fmt::format("{}", value), "options");
  };
  set("out", options.folder.string());
  set("resume", options.resume);
  set("force", options.force);
  set("epochs", options.epochs);
  set("steps", options.steps);
  set("minutes", options.minutes);
  set("batch_size", options.batch_size);
  set("micro_batches", options.micro_batches);
  set("shuffle", options.shuffle);
  set("seed", options.seed);
  set("dtype", to_string(options.dtype));
  set("device", options.device);
  set("math", options.math);
  set("init", options.init.string());
  set("optimizer", options.optimizer);
  set("lr", options.lr);
  set("schedule", to_string(options.schedule));
  set("warmup_steps", options.warmup_steps);
  set("decay_share", options.decay_share);
  set("beta2", options.beta2);
  set("weight_decay", options.weight_decay);
  set("momentum", options.momentum);
  set("clip_norm", options.clip_norm);
  set("ema", options.ema);
  set("checkpoint_every", options.checkpoint_every);
  set("val_every", options.val_every);
  set("patience", options.patience);
  set("threads", options.threads == 0 ? num_threads() : options.threads);
  set("tensorboard", options.tensorboard);
  set("step_log", options.step_log.string());
  return settings;
}

}  // namespace maskgrad
