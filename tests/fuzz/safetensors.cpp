// Any bytes as a safetensors file. One that is accepted and written again holds the same tensors.
#include <map>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

const std::filesystem::path kScratch =
    std::filesystem::temp_directory_path() / ("fuzz_safetensors." + std::to_string(::getpid()));

bool is_same(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.data == b.data;
}

void expect_same(const SafetensorsFile& before, const SafetensorsFile& after) {
  std::map<std::string, const SafetensorsEntry*> entries;
  for (const SafetensorsEntry& entry : before.entries()) entries[entry.name] = &entry;
  expect(entries.size() == after.entries().size());
  for (const SafetensorsEntry& entry : after.entries())
    expect(is_same(entry, *entries[entry.name]));
  expect(before.metadata() == after.metadata());
}

void try_bytes(std::string_view bytes) {
  const MemoryFile input(bytes);
  const SafetensorsFile file = SafetensorsFile::open(input.path());
  expect_same(SafetensorsFile(std::string(bytes), "f"), file);
  write_safetensors(kScratch, file.entries(), file.metadata(), SafetensorsDigest::kWritten);
  const SafetensorsFile copy = SafetensorsFile::open(kScratch);
  expect(copy.has_digest());
  expect_same(file, copy);
  load_tensors(file, "f");
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  maskgrad::fuzz::attempt(maskgrad::fuzz::try_bytes, maskgrad::fuzz::text_of(data, size));
  return 0;
}
