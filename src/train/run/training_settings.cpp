#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/run/training_options.hpp>
#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad {
namespace {

using Text = std::string;
using Int = std::int64_t;

// What is trained, on what, and where.
std::vector<Setting> what_is_trained(const std::string& name, const TrainingOptions& options) {
  return {
      Setting{"recipe", name, "what is trained"}.one_of({name}),
      Setting{"data", Text(), "folder of *.tfrecords shards; empty: the run makes its own"}
          .folder()
          .changeable()
          .without_effect(),
      Setting{"val", Text(), "folder of shards to validate on; empty: none"}
          .folder()
          .changeable()
          .without_effect()
          .since(3),
      Setting{"val_every", options.val_every,
              "validate every so many steps; 0: at the ends of epochs"}
          .at_least(0)
          .changeable()
          .without_effect()
          .since(3),
      Setting{"patience", options.patience,
              "stop after so many validations without a smaller loss; 0: never"}
          .at_least(0)
          .changeable()
          .without_effect()
          .since(3),
      Setting{"out", Text(), "run folder; empty: runs/<recipe>"}.folder().not_saved(),
      Setting{"device", options.device, "where to train; auto takes the GPU where one works"}
          .one_of({kDeviceNames.begin(), kDeviceNames.end()})
          .changeable(),
      Setting{"math", Text(to_string(ops::ProductMath::kFloat32)),
              "how a GPU multiplies matrices of float32; the others use its tensor cores"}
          .one_of({ops::kProductMathNames.begin(), ops::kProductMathNames.end()})
          .changeable()
          .since(7),
      Setting{"dtype", Text(to_string(options.dtype)), "type of weights and activations"}.one_of(
          {"float32", "float64"}),
  };
}

// How long it trains.
std::vector<Setting> how_long(const TrainingOptions& options) {
  return {
      Setting{"epochs", options.epochs, "passes over the data; 0: no limit"}
          .at_least(0)
          .at_most(1'000'000'000)
          .changeable(),
      Setting{"steps", options.steps, "stop after so many steps in all; 0: no limit"}
          .at_least(0)
          .changeable(),
      Setting{
          "minutes", options.minutes,
          "the most minutes of this call, counted anew by resume; the schedule ends with them; 0: "
          "no limit"}
          .at_least(0)
          .changeable(),
      Setting{"checkpoint_every", options.checkpoint_every,
              "save a checkpoint every so many steps, too; 0: at the ends of epochs only"}
          .at_least(0)
          .changeable()
          .without_effect()
          .since(3),
  };
}

// What a step computes, and how far it goes.
std::vector<Setting> how_it_learns(const TrainingOptions& options) {
  return {
      Setting{"batch_size", options.batch_size, "samples in a step"}.at_least(1),
      Setting{"micro_batches", options.micro_batches,
              "parts that a batch is cut into, one after the other: less memory, another rounding; "
              "1 where the loss is no sum over samples"}
          .at_least(1)
          .at_most(1'000'000)
          .since(3),
      Setting{"lr", options.lr, "learning rate"}.at_least(0).changeable(),
      Setting{"schedule", Text(to_string(options.schedule)),
              "what becomes of lr over the steps of the run"}
          .one_of(schedule_names())
          .changeable()
          .since(3),
      Setting{"warmup_steps", options.warmup_steps, "steps over which lr rises to its full value"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"decay_share", options.decay_share,
              "share of all steps, the last, over which wsd lowers lr to 0"}
          .at_least(0)
          .at_most(1)
          .changeable()
          .since(4),
  };
}

// What it does with the gradients of a step.
std::vector<Setting> how_it_updates(const TrainingOptions& options) {
  return {
      Setting{"clip_norm", options.clip_norm, "scale gradients down to at most this norm; 0: never"}
          .at_least(0),
      Setting{"ema", options.ema,
              "decay of an average of the weights that becomes the model; 0: none"}
          .at_least(0)
          .at_most(0.9999999)
          .since(3),
      Setting{"optimizer", options.optimizer, "update rule; adam is as Keras forms it"}.one_of(
          {"adam", "adam-pytorch", "adamw", "sgd"}),
      Setting{"beta2", options.beta2, "decay of adam's mean of squared gradients"}
          .at_least(0)
          .at_most(0.9999999)
          .since(5),
      Setting{"weight_decay", options.weight_decay, "weight decay of adamw, on matrices only"}
          .at_least(0)
          .changeable()
          .since(3),
      Setting{"momentum", options.momentum, "momentum of sgd"}.at_least(0).changeable(),
  };
}

// How the run starts, what it uses and what it logs.
std::vector<Setting> how_it_begins_and_runs(const TrainingOptions& options) {
  return {
      Setting{"seed", options.seed, "random numbers of starting weights, data and shuffling"},
      Setting{"threads", Int{1},
              "CPU threads, 0: one for each processor; the results are the same for any number"}
          .at_least(0)
          .at_most(1024)
          .changeable()
          .without_effect(),
      Setting{"init", Text(), "safetensors file of starting weights; empty: drawn by seed"}.file(),
      Setting{"shuffle", options.shuffle, "a new order of samples in each epoch"},
      Setting{"resume", false, "go on with the run in the folder"}.not_saved(),
      Setting{"force", false, "replace the run in the folder"}.not_saved(),
      Setting{"step_log", Text(), "CSV file for the loss of every step"}.file().not_saved(),
      Setting{"tensorboard", options.tensorboard, "write TensorBoard logs"}
          .changeable()
          .without_effect(),
  };
}

// Appends `own`; one that is there already only gets another default, another help if it has one,
// and stays in a run that goes on if it says why.
void add(std::vector<Setting>& all, std::vector<Setting> own) {
  for (Setting& setting : own) {
    const auto same = std::find_if(all.begin(), all.end(),
                                   [&](const Setting& s) { return s.key == setting.key; });
    if (same == all.end()) {
      all.push_back(std::move(setting));
    } else {
      same->value = std::move(setting.value);
      if (!setting.help.empty()) same->help = std::move(setting.help);
      if (!setting.why_fixed.empty()) *same = same->fixed(std::move(setting.why_fixed));
    }
  }
}

}  // namespace

std::vector<Setting> training_settings(const std::string& name, std::vector<Setting> own) {
  const TrainingOptions options;  // whose defaults are those of the settings
  std::vector<Setting> all = what_is_trained(name, options);
  add(all, how_long(options));
  add(all, how_it_learns(options));
  add(all, how_it_updates(options));
  add(all, how_it_begins_and_runs(options));
  add(all, std::move(own));
  return all;
}

namespace {

// It may stand in the file of a run that goes on.
void check_device(const Settings& settings, const RunWords& words) {
  const std::string &device = settings.text("device"), &math = settings.text("math");
  const std::string flag = words.setting("device");
  try {
    choose_device(device, flag);
  } catch (const Error& error) {
    if (device != "cuda") throw;
    const bool is_exact = math == to_string(ops::ProductMath::kFloat32);
    fail("device", "{}; or give {} cpu{}", error.text(), flag,
         is_exact ? "" : fmt::format(", and {} float32", words.setting("math")));
  }
}

// Behind check_device().
void check_math(const Settings& settings, const RunWords& words) {
  const std::string flag = words.setting("math");
  const ops::ProductMath math = ops::product_math_of(settings.text("math"), flag);
  if (math == ops::ProductMath::kFloat32) return;
  ops::check_math_of_device(math, choose_device(settings.text("device")), flag,
                            words.setting("device"));
  ops::check_math_of_dtype(math, dtype_from_string(settings.text("dtype")), flag,
                           words.setting("dtype"));
}

}  // namespace

void check_training_settings(const Settings& settings, bool validates, const RunWords& words) {
  check(settings.integer("epochs") > 0 || settings.integer("steps") > 0 ||
            settings.real("minutes") > 0,
        "train", "{}, {} and {} are all 0: nothing would end the run", words.setting("epochs"),
        words.setting("steps"), words.setting("minutes"));
  check_device(settings, words);
  check_math(settings, words);
  std::string data = words.setting("val");
  if (settings.has("val_share")) data += " or " + words.setting("val_share");
  for (const char* key : {"val_every", "patience"}) {
    check(validates || settings.integer(key) == 0, "train", "{} is {}: it needs {}, or {} 0", key,
          settings.integer(key), data, words.setting(key));
  }
  const std::int64_t parts = settings.integer("micro_batches"),
                     samples = settings.integer("batch_size");
  check(parts <= samples, "train", "micro_batches is {}, and a batch has no more than {}",
        with_commas(parts), count_of(samples, "sample"));
}

}  // namespace maskgrad
