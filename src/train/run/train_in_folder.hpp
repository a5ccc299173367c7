// A whole training run in a folder, for a program of one's own.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/train/run/run_end.hpp>
#include <maskgrad/train/run/training_options.hpp>

namespace maskgrad {

/// Trains `module`. It draws the starting weights and feeds batches of `data` to `model`, which
/// returns their loss. It keeps in the folder the files that the command line keeps: settings, a
/// table of epochs, checkpoints, the best weights by validation, TensorBoard logs and, at the end,
/// model.safetensors. Called again with `resume`, it goes on from the last checkpoint. It then ends
/// with the weights of an unbroken run, bit for bit. The callbacks hear of all that happens, and
/// may end the run. Nothing is printed. The callback Progress shows how far the run is. A new run
/// that ends before its first step leaves the folder as it was.
///
/// Afterwards `module` holds the weights of the last step. The best weights by validation come into
/// it by
///   ParameterBuffer parameters(module, options.dtype, options.seed);
///   load_weights(RunPaths(options.folder).best, parameters);
///
/// Returns how the run ended. The outcome is kInterrupted only where `stop` ended the run.
///
/// Throws UsageError for options that contradict each other, for options out of range, and for a
/// step_log that is one of the run's own files. Throws UsageError where the folder holds a run, or
/// files that a run would overwrite, and neither `resume` nor `force` is set. Throws UsageError
/// where a run cannot go on with these options, or its config.toml is damaged.
///
/// Throws Error where data hold no samples, where another process trains in the folder, where the
/// run was trained on other data and stopped within an epoch, and where files cannot be read or
/// written. Throws Diverged where numbers are not finite any more, see Trainer::run(). Once
/// training has begun, errors say what is kept, and how to go on.
RunEnd train_in_folder(Module& module, const Model& model, const Dataset& data,
                       const TrainingOptions& options,
                       std::vector<std::unique_ptr<Callback>> callbacks = {});

}  // namespace maskgrad
