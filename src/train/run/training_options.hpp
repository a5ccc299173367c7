// How a program trains in a folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include <maskgrad/tensor/dtype.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/optim/schedule.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

struct TrainingOptions {
  std::filesystem::path folder = {};  // for the run's files; made if it is missing
  std::string name = "program";       // of what is trained; a run of another name is not resumed
  bool resume = false;                // go on with the run in the folder, where there is one
  bool force = false;                 // replace the run in the folder

  // The run's config.toml keeps these options. A plus marks those that may have another value when
  // the run goes on.
  std::int64_t epochs = 10;  // + passes over the data; 0: no limit
  std::int64_t steps = 0;    // + the most steps of the whole run; 0: no limit
  double minutes = 0.0;  // + the most minutes of one call; 0: no limit. The schedule ends in time
  std::int64_t batch_size = 32;
  std::int64_t micro_batches = 1;   // parts that a batch is cut into, see Trainer::Options
  bool shuffle = true;              // a new order of samples in each epoch
  std::uint64_t seed = 0;           // of starting weights, shuffling and dropout
  DType dtype = DType::kFloat32;    // of weights and activations
  std::string device = "cpu";       // + or "cuda", "auto": where it is trained, see choose_device()
  std::string math = "float32";     // + or "tf32", "tf32x3": how a GPU multiplies, see ProductMath
  std::filesystem::path init = {};  // safetensors file of starting weights; empty: drawn by seed
  std::string optimizer = "adam";   // or "adam-pytorch", "adamw", "sgd"
  double lr = 1e-3;                 // + learning rate
  Schedule::Kind schedule = Schedule::Kind::kConstant;  // + how lr changes over the run's steps
  std::int64_t warmup_steps = 0;                        // + steps over which lr rises
  double decay_share = 0.1;    // + of all steps, the last: over which kWsd lowers lr to 0
  double beta2 = 0.999;        // decay of adam's mean of squared gradients, see Adam
  double weight_decay = 0.01;  // + of adamw, on matrices only
  double momentum = 0.9;       // + of sgd
  double clip_norm = 0.0;      // gradients are scaled to at most this norm; 0: never
  double ema = 0.0;            // decay of the weights' average, saved as the model; 0: no average
  std::int64_t checkpoint_every = 0;  // + steps; 0: at the ends of epochs only
  std::int64_t val_every = 0;         // + steps; 0: at the ends of epochs only
  std::int64_t patience = 0;  // + end after so many validations without a smaller loss; 0: never
  int threads = 0;            // + threads that compute; 0: as many as now, see num_threads()
  // + write TensorBoard logs. For the graph of the model the model's function is also called on two
  // samples before the first step, in inference, and must not count its calls.
  bool tensorboard = true;

  const Dataset* validation = nullptr;      // data to validate on; null: none
  std::filesystem::path step_log = {};      // CSV file for the loss of every step; empty: none
  Warn warn = {};                           // hears of what is wrong when the run still goes on
  const std::atomic<bool>* stop = nullptr;  // ends the run once it becomes true
};

/// The options as settings, as the run's config.toml keeps them. Throws Error for a value out of
/// its range.
Settings settings_of(const TrainingOptions& options);

}  // namespace maskgrad
