// TensorBoard event files: TFRecord framing around the protobuf message Event.
//
// Event { double wall_time = 1; int64 step = 2; string file_version = 3; bytes graph_def = 4;
//         Summary summary = 5; SessionLog session_log = 7; }
// SessionLog { SessionStatus status = 1; }  SessionStatus { START = 1 }
// Summary { repeated Value value = 1; }
// Value { string tag = 1; float simple_value = 2; HistogramProto histo = 5; }
// HistogramProto { double min = 1, max = 2, num = 3, sum = 4, sum_squares = 5;
//                  repeated double bucket_limit = 6, bucket = 7; }
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/histogram.hpp>

namespace maskgrad {

/// One value of a step. It is monostate for kinds of summaries that are not read here (images,
/// text).
struct SummaryValue {
  std::string tag;
  std::variant<std::monostate, float, Histogram> value;
};

/// One record of an event file. It is `file_version` (the first record), or a graph, or values of a
/// step, or a restart. A restart makes void what was written before for `step` and later steps.
struct Event {
  double wall_time = 0;  // seconds since 1970
  std::int64_t step = 0;
  std::string file_version = {};
  std::vector<SummaryValue> values = {};
  bool is_restart = false;
  std::string graph_def = {};  // the message of a ModelGraph
};

/// The protobuf message.
std::string encode(const Event& event);
/// Its inverse. Throws Error "[protobuf] <where>: byte 12: truncated" for malformed bytes.
Event decode_event(std::string_view bytes, std::string_view where = "event");

/// Appends events to a new file `events.out.tfevents.<time>.<host>.<pid>.<n>`. TensorBoard can
/// follow it as it grows. The name sorts behind those of the event files that the folder holds
/// already, because TensorBoard reads files in this order.
class EventWriter {
 public:
  /// Creates the file in `folder`, which must exist. Throws Error "[file] cannot create ...".
  explicit EventWriter(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return file_.path(); }
  /// Appends one event now. Throws Error "[file] cannot write 'x': No space left on device", as do
  /// all members below.
  void add_scalar(std::string_view tag, std::int64_t step, float value);
  /// See make_histogram for the buckets and for values that are not finite.
  void add_histogram(std::string_view tag, std::int64_t step, std::span<const double> values);
  void add_histogram(std::string_view tag, std::int64_t step, std::span<const float> values);
  /// Says that a run goes on: events of earlier files at `step` and later steps are void.
  /// TensorBoard's readers drop them.
  void add_restart(std::int64_t step);
  /// The graph of the model, see encode(const ModelGraph&).
  void add_graph(std::string_view graph_def);
  /// Several values of one step, with the present time.
  void add(std::int64_t step, std::vector<SummaryValue> values);
  /// Hands all events so far to the system, where TensorBoard sees them.
  void flush() { file_.flush(); }

 private:
  void write(const Event& event);

  OutputFile file_;
};

/// The events of a file up to its end, or up to the first record that is damaged.
struct EventFile {
  std::vector<Event> events;
  std::string damage = {};  // "record 3 at byte 219: truncated in its data"; empty for a sound file
};

/// Whether a graph is among the first events of a file, where EventWriter's users write it. False
/// for a file that is damaged before. Throws Error where the system refuses to read.
bool begins_with_graph(const std::filesystem::path& path);

/// Reads an event file and verifies its checksums. A killed process leaves its last record torn, so
/// damage is no error here. Throws Error where the system refuses to read.
EventFile read_events(const std::filesystem::path& path);

}  // namespace maskgrad
