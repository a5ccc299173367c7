// Any bytes as a file of records, and as what a record holds.
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

// Records that are read are framed again, byte for byte.
void read_records(std::string_view bytes) {
  const MemoryFile input(bytes);
  std::string again;
  RecordReader reader(input.path());
  for (std::string record; reader.next(record);) {
    append_record(again, record);
    expect(bytes.substr(0, again.size()) == again);
    expect(reader.digest() == digest_of(again));
  }
  expect(again == bytes);
}

// An example comes back from its own bytes, which are the only ones that encode gives.
void read_example(std::string_view bytes) {
  const std::string once = encode(decode_example(bytes));
  expect(encode(decode_example(once)) == once);
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace maskgrad::fuzz;
  const std::string_view bytes = text_of(data, size);
  attempt(read_records, bytes);
  attempt(read_example, bytes);
  std::string framed;
  maskgrad::append_record(framed, bytes);
  read_records(framed);
  return 0;
}
