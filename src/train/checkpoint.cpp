#include <algorithm>
#include <charconv>
#include <set>
#include <variant>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/train_state_text.hpp>
#include <maskgrad/train/weights_format.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "checkpoint";
constexpr std::size_t kKept = 3;

// Calls f(prefix of the names in the file, flat tensor) for every flat tensor.
template <class F>
void for_each_flat(const ParameterBuffer& parameters, Optimizer& optimizer,
                   const WeightAverage* average, const BestWeights* best, F f) {
  f("model/", parameters.values());
  for (const auto& [name, flat] : optimizer.state()) f("optimizer." + name + "/", flat);
  if (average) f("ema/", average->values());
  if (best && best->defined()) f("best/", best->values);
  if (best && best->regular) f("regular/", best->regular->values);
}

// Calls f(name in the file, view) for every parameter's piece of a flat tensor.
template <class F>
void for_each_piece(const ParameterBuffer& parameters, const std::string& prefix,
                    const Tensor& flat, F f) {
  for (const ParameterBuffer::Entry& entry : parameters.entries()) {
    f(prefix + entry.name, flat.view(entry.first, entry.parameter->shape()));
  }
}

struct Candidate {
  std::int64_t steps;
  fs::path path;

  friend auto operator<=>(const Candidate&, const Candidate&) = default;
};

// By the steps in their names, the newest last.
std::vector<Candidate> checkpoints_in(const fs::path& folder) {
  std::vector<Candidate> found;
  for (const fs::path& path : list_folder(folder)) {
    if (const auto steps = steps_in_name(path)) found.push_back({*steps, path});
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A file that is what it should be, by itself; whether it fits a run is still open.
struct SoundFile {
  SafetensorsFile file;
  TrainState state;
};

void check_name(const fs::path& path, const TrainState& state) {
  const auto steps = steps_in_name(path);
  check(!steps || *steps == state.step, kKind, "'{}' holds the state after {}: it was renamed",
        path.string(), count_of(state.step, "step"));
}

SoundFile read_state(SafetensorsFile file, const fs::path& path) {
  TrainState state = train_state_of(file.metadata(), path.string());
  check_name(path, state);
  return {std::move(file), std::move(state)};
}

// Throws unless the file's tensors are those that the run has.
void check_fits(const std::map<std::string, Tensor>& tensors, const fs::path& path,
                const ParameterBuffer& parameters, Optimizer& optimizer,
                const WeightAverage* average, const BestWeights& best) {
  std::set<std::string> wanted;
  const auto check_piece = [&](const std::string& name, const Tensor& piece) {
    wanted.insert(name);
    const auto found = tensors.find(name);
    check(found != tensors.end(), kKind, "'{}' has no tensor '{}'", path.string(), name);
    check(found->second.shape() == piece.shape() && found->second.dtype() == piece.dtype(), kKind,
          "'{}': '{}' is {} {}, the run's is {} {}", path.string(), name,
          to_string(found->second.dtype()), found->second.shape(), to_string(piece.dtype()),
          piece.shape());
  };
  for_each_flat(parameters, optimizer, average, &best,
                [&](const std::string& prefix, const Tensor& flat) {
                  for_each_piece(parameters, prefix, flat, check_piece);
                });
  for (const auto& [name, tensor] : tensors) {
    check(wanted.contains(name), kKind, "'{}' holds '{}', which the run does not have",
          path.string(), name);
  }
}

// With values that are still to be filled, where the notes say that there are some.
BestWeights best_in(const Notes& notes, const TrainState& state, const fs::path& path,
                    const ParameterBuffer& parameters) {
  const auto note = notes.find(kValidationNote);
  if (note == notes.end()) return {};
  // Checkpoints that knew no best weights named no data here.
  if (std::count(note->second.begin(), note->second.end(), ' ') == 2) return {};
  BestWeights best = BestWeights::from_note(note->second, state.step, path.string());
  best.values = parameters.zeros_beside(2);
  const auto regular_note = notes.find(kRegularValidationNote);
  if (regular_note == notes.end()) return best;
  BestWeights regular = BestWeights::from_note(regular_note->second, state.step, path.string());
  regular.values = parameters.zeros_beside(2);
  check(best.at_end && !regular.at_end, kKind,
        "'{}': the notes of validation contradict each other", path.string());
  best.regular = std::make_shared<const BestWeights>(std::move(regular));
  return best;
}

Checkpoint put_back(const SoundFile& sound, const fs::path& path, ParameterBuffer& parameters,
                    Optimizer& optimizer, WeightAverage* average, BestWeights* best) {
  const std::map<std::string, Tensor> tensors = load_tensors(sound.file, path.string());
  const Notes notes = notes_of(sound.file.metadata());
  const BestWeights found = best ? best_in(notes, sound.state, path, parameters) : BestWeights{};
  check_fits(tensors, path, parameters, optimizer, average, found);
  // A tensor on a device is filled on the host, and uploaded at once.
  const auto fill = [&](const std::string& prefix, Tensor flat) {
    Tensor here = flat.device() == Device{} ? flat : Tensor::zeros(flat.shape(), flat.dtype());
    for_each_piece(parameters, prefix, here, [&](const std::string& name, Tensor piece) {
      piece.copy_from(tensors.at(name));
    });
    flat.copy_from(here);
  };
  for_each_flat(parameters, optimizer, average, &found, fill);
  if (best) *best = found;
  optimizer.set_steps(sound.state.step - sound.state.skipped);
  return {sound.state, notes};
}

// The file where it is sound, or why it is not.
using Judged = std::variant<SoundFile, std::string>;

Judged judge(const fs::path& path) {
  std::optional<SafetensorsFile> file;
  try {
    file = SafetensorsFile::open(path);
  } catch (const Error& error) {
    return std::string(error.text());
  }
  check_format(file->metadata(), kKind, path);  // sound, and of another version: that is no damage
  try {
    return read_state(*std::move(file), path);
  } catch (const Error& error) {
    return std::string(error.text());
  }
}

}  // namespace

std::optional<std::int64_t> steps_in_name(const fs::path& path) {
  constexpr std::string_view kBefore = "step_", kAfter = ".safetensors";
  const std::string name = path.filename().string();
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) return std::nullopt;
  std::int64_t steps = 0;
  const char* const begin = name.data() + kBefore.size();
  const char* const end = name.data() + name.size() - kAfter.size();
  const auto result = std::from_chars(begin, end, steps);
  const bool is_number = result.ec == std::errc() && result.ptr == end && *begin != '-';
  return is_number ? std::optional(steps) : std::nullopt;
}

void save_checkpoint(const fs::path& path, const TrainState& state,
                     const ParameterBuffer& parameters, Optimizer& optimizer, const Notes& notes,
                     const WeightAverage* average, const BestWeights* best) {
  check(optimizer.steps() == state.step - state.skipped, kKind,
        "'{}': the optimizer has made {} steps, the run {} and {} without it", path.string(),
        optimizer.steps(), state.step - state.skipped, state.skipped);
  check_state(state, path.string());
  check_name(path, state);
  std::map<std::string, Tensor> tensors;
  const auto add = [&](const std::string& prefix, const Tensor& flat) {
    for_each_piece(
        parameters, prefix, flat.to(Device{}),
        [&](const std::string& name, const Tensor& piece) { tensors.emplace(name, piece); });
  };
  for_each_flat(parameters, optimizer, average, best, add);
  Notes all_notes = notes;
  if (best && best->defined()) all_notes[kValidationNote] = best->note();
  if (best && best->regular) all_notes[kRegularValidationNote] = best->regular->note();
  Metadata metadata = weights_metadata(kKind, all_notes);
  metadata.merge(metadata_of(state));
  save_tensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const fs::path& path, ParameterBuffer& parameters, Optimizer& optimizer,
                           WeightAverage* average, BestWeights* best) {
  SafetensorsFile file = SafetensorsFile::open(path);
  check_format(file.metadata(), kKind, path);
  return put_back(read_state(std::move(file), path), path, parameters, optimizer, average, best);
}

Notes read_notes(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  check_format(file.metadata(), is_of_kind(file.metadata(), "model") ? "model" : kKind, path);
  return notes_of(file.metadata());
}

std::optional<fs::path> latest_checkpoint(const fs::path& folder) {
  const std::vector<Candidate> found = checkpoints_in(folder);
  if (found.empty()) return std::nullopt;
  return found.back().path;
}

std::optional<fs::path> latest_sound_checkpoint(const fs::path& folder, const Warn& warn) {
  std::vector<Candidate> found = checkpoints_in(folder);
  if (found.empty()) return std::nullopt;
  for (;; found.pop_back()) {
    const Judged judged = judge(found.back().path);
    if (std::holds_alternative<SoundFile>(judged)) return found.back().path;
    const std::string& why = std::get<std::string>(judged);
    check(found.size() > 1, kKind, "{}; there is no sound checkpoint before it: begin the run anew",
          why);
    if (warn) warn(fmt::format("{}; taking the checkpoint before it", why));
  }
}

std::optional<Checkpoint> load_latest_checkpoint(const fs::path& folder,
                                                 ParameterBuffer& parameters, Optimizer& optimizer,
                                                 const Warn& warn, WeightAverage* average,
                                                 BestWeights* best) {
  const auto path = latest_sound_checkpoint(folder, warn);
  if (!path) return std::nullopt;
  return load_checkpoint(*path, parameters, optimizer, average, best);
}

void CheckpointCallback::on_start(const Trainer& trainer) {
  check(trainer.state().step > 0 || checkpoints_in(folder_).empty(), kKind,
        "'{}' holds the checkpoints of another run: remove them, or take another folder",
        folder_.string());
}

void CheckpointCallback::save(const Trainer& trainer) const {
  Notes notes = notes_ ? notes_() : Notes{};
  notes.merge(trainer.notes());
  const std::int64_t step = trainer.state().step;
  // Twelve digits, so that names sort as numbers do.
  save_checkpoint(folder_ / fmt::format("step_{:012}.safetensors", step), trainer.state(),
                  trainer.parameters(), trainer.optimizer(), notes, trainer.options().average,
                  trainer.options().best);
  std::vector<Candidate> found = checkpoints_in(folder_);
  std::size_t kept = 0;
  for (auto one = found.rbegin(); one != found.rend(); ++one) {
    const bool is_old = one->steps > step || ++kept > kKept;
    std::error_code ignored;  // what stays now is removed after the next one
    if (is_old) fs::remove(one->path, ignored);
  }
}

}  // namespace maskgrad
