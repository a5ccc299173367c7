#include <algorithm>

#include <maskgrad/train/callbacks/best_file.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/model_file.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

// As it was when they were found, whenever the file is written.
std::string note_in_file(const BestWeights& best) {
  const BestWeights then = {
      .step = best.step, .loss = best.loss, .data = best.data, .at_end = best.at_end};
  return then.note();
}

bool has_bytes_of(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::equal(a.raw_data(), a.raw_data() + a.nbytes(), b.raw_data());
}

// False for a file that is not there, or damaged, too.
bool holds(const fs::path& file, const BestWeights& best, const ParameterBuffer& parameters) {
  ModelFile model;
  try {
    model = load_model(file);
  } catch (const Error&) {
    return false;
  }
  const auto note = model.notes.find(kValidationNote);
  const auto wanted = parameters.named_pieces(best.values.to(Device{}));
  return note != model.notes.end() && note->second == note_in_file(best) &&
         std::equal(model.tensors.begin(), model.tensors.end(), wanted.begin(), wanted.end(),
                    [](const auto& a, const auto& b) {
                      return a.first == b.first && has_bytes_of(a.second, b.second);
                    });
}

}  // namespace

void BestFile::on_start(const Trainer& trainer) {
  check(trainer.options().best != nullptr, "best", "the trainer has no Options::best to be kept");
  const BestWeights& best = *trainer.options().best;
  written_.clear();
  if (!best.defined()) {
    std::error_code error;
    fs::remove(file_, error);
    if (error) fail_file("cannot remove", file_, error.value());
  } else if (holds(file_, best, trainer.parameters())) {
    written_ = note_in_file(best);
  } else {
    write(trainer);
  }
}

void BestFile::write(const Trainer& trainer) {
  const BestWeights& best = *trainer.options().best;
  if (!best.defined() || written_ == note_in_file(best)) return;
  Notes notes = notes_ ? notes_() : Notes{};
  notes[kValidationNote] = note_in_file(best);
  save_model(file_, trainer.parameters().named_pieces(best.values.to(Device{})), notes);
  written_ = note_in_file(best);
}

}  // namespace maskgrad
