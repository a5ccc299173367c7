// Any texts as the metadata of a checkpoint. A state that is accepted comes back from its own
// metadata; notes of any bytes do.
#include <algorithm>
#include <cmath>

#include <maskgrad/train/train_state_text.hpp>
#include <maskgrad/train/weights_format.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

std::string_view take_part(std::string_view& text) {
  const std::string_view part = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

bool is_same(const Metric& a, const Metric& b) {
  const bool same_sum = a.sum == b.sum || (std::isnan(a.sum) && std::isnan(b.sum));
  return a.name == b.name && same_sum && a.count == b.count;
}

// Five numbers and the totals, zeros between them.
void read_state(std::string_view text) {
  Metadata metadata;
  for (const char* key : {"step", "epoch", "batch", "skipped", "optimizer_steps", "totals"}) {
    metadata[key] = take_part(text);
  }
  const TrainState state = train_state_of(metadata, "f");
  const TrainState copy = train_state_of(metadata_of(state), "f");
  expect(copy.step == state.step && copy.position == state.position &&
         copy.skipped == state.skipped);
  expect(std::equal(state.totals.begin(), state.totals.end(), copy.totals.begin(),
                    copy.totals.end(), is_same));
}

void keep_notes(std::string_view text) {
  Notes notes;
  while (!text.empty()) {
    const std::string_view key = take_part(text);
    notes[std::string(key)] = take_part(text);
  }
  const Metadata metadata = weights_metadata("checkpoint", notes);
  check_format(metadata, "checkpoint", "f");
  expect(notes_of(metadata) == notes);
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = maskgrad::fuzz::text_of(data, size);
  maskgrad::fuzz::keep_notes(text);
  maskgrad::fuzz::attempt(maskgrad::fuzz::read_state, text);
  return 0;
}
