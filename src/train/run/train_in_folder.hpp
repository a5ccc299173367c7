// A whole training run in a folder, for a program of one's own.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/train/run/run_end.hpp>
#include <maskgrad/train/run/training_options.hpp>

namespace maskgrad {

/// Trains `module`: draws its weights, feeds batches of `data` to `model`, which gives their loss,
/// and keeps in the folder what the command line keeps: settings, a table of epochs, checkpoints,
/// the best weights by validation, TensorBoard logs and, at the end, model.safetensors. Called
/// again with `resume`, it goes on from the last checkpoint. It ends with the weights of an
/// unbroken run, bit for bit. The callbacks get told of all that happens, and may end the run.
/// Nothing is printed: Progress is the callback that shows how far the run is. A new run that ends
/// before its first step leaves the folder as it was.
///
/// Afterwards `module` holds the weights of the last step. load_weights() gets those of a file, of
/// RunPaths::best for one.
///
/// Returns how the run ended: kInterrupted only where `stop` ended it. Throws UsageError for
/// options that contradict each other, or are out of range; where the folder holds a run, or files
/// that a run would overwrite, and neither `resume` nor `force` is set; and where a run cannot go
/// on with these options. Throws Error where another process trains in the folder; where the run
/// was trained on other data and stopped within an epoch; and where files cannot be read or
/// written. A damaged config.toml of a run to resume is a UsageError. Throws Diverged where numbers
/// are not finite any more, see Trainer::run. Once training has begun, errors say what is kept, and
/// how to go on.
RunEnd train_in_folder(Module& module, const Model& model, const Dataset& data,
                       const TrainingOptions& options,
                       std::vector<std::unique_ptr<Callback>> callbacks = {});

}  // namespace maskgrad
