// Any bytes as an epochs.csv and as a step log.
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/formats/csv.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

// What is accepted and vouched for is accepted again, with rows behind it too.
void read_table(std::string_view bytes) {
  const MemoryFile file(bytes);
  const std::vector<EpochRow> rows = read_epochs(file.path());
  const Notes notes = {{kEpochsNote, to_string(digest_of(bytes))},
                       {kEpochValuesNote, epoch_values_digest(file.path())}};
  expect(read_epochs(file.path(), notes).size() == rows.size());
}

// The lines that are kept are those of the log, and are kept again.
void copy_steps(std::string_view bytes) {
  const MemoryFile file(bytes);
  AtomicFile copy(std::filesystem::temp_directory_path() /
                  ("fuzz_run_logs." + std::to_string(::getpid())));
  const Digest digest = copy_step_log(file.path(), copy, 3, {});
  expect(digest_of(bytes.substr(0, digest.bytes)) == digest);
  const Notes notes = {{kStepLogNote, to_string(digest)}};
  expect(copy_step_log(file.path(), copy, 3, notes) == digest);
}

// Cells that were quoted come back.
void read_cells(std::string_view bytes) {
  const std::vector<std::string> cells = take_csv_record(bytes);
  std::string line = csv_cell(cells.front());
  for (std::size_t i = 1; i < cells.size(); ++i) line += "," + csv_cell(cells[i]);
  std::string_view again = line;
  expect(take_csv_record(again) == cells && again.empty());
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace maskgrad::fuzz;
  const std::string_view bytes = text_of(data, size);
  attempt(read_table, bytes);
  attempt(copy_steps, bytes);
  read_cells(bytes);
  return 0;
}
