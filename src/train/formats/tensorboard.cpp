#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/protobuf.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

namespace maskgrad {
namespace {

constexpr std::uint32_t kGraph = 4, kSessionLog = 7;  // fields of Event
constexpr std::int64_t kSessionStart = 1;             // value of SessionLog.SessionStatus

double now() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since_1970).count();
}

constexpr std::string_view kNamesBegin = "events.out.tfevents.";

/// The present second, or the one after those in the names of the folder's event files, whichever
/// is later: the clock may have been moved back, and a run may go on within a second.
std::int64_t time_for_name(const std::filesystem::path& folder) {
  auto time = static_cast<std::int64_t>(now());
  for (const std::filesystem::path& path : list_folder(folder)) {
    const std::string name = path.filename().string();
    if (!name.starts_with(kNamesBegin)) continue;
    std::int64_t other = 0;
    std::from_chars(name.data() + kNamesBegin.size(), name.data() + name.size(), other);
    // Names of more than ten digits would sort before shorter ones.
    if (other < 9'999'999'999) time = std::max(time, other + 1);
  }
  return time;
}

std::string file_name(const std::filesystem::path& folder) {
  static std::atomic<int> files_of_this_process{0};
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = 'x';
  return fmt::format("{}{:010}.{}.{}.{}", kNamesBegin, time_for_name(folder), host, ::getpid(),
                     files_of_this_process++);
}

std::string encode(const Histogram& histogram) {
  WireWriter out;
  out.add_double(1, histogram.min);
  out.add_double(2, histogram.max);
  out.add_double(3, histogram.num);
  out.add_double(4, histogram.sum);
  out.add_double(5, histogram.sum_squares);
  out.add_packed(6, histogram.bucket_limit);
  out.add_packed(7, histogram.bucket);
  return out.bytes();
}

std::string encode(const SummaryValue& value) {
  WireWriter out;
  out.add_bytes(1, value.tag);
  if (const auto* scalar = std::get_if<float>(&value.value)) out.add_float(2, *scalar);
  if (const auto* histogram = std::get_if<Histogram>(&value.value)) {
    out.add_bytes(5, encode(*histogram));
  }
  return out.bytes();
}

Histogram decode_histogram(WireReader reader) {
  Histogram histogram;
  double* const fields[] = {&histogram.min, &histogram.max, &histogram.num, &histogram.sum,
                            &histogram.sum_squares};
  while (reader.next()) {
    if (reader.field() <= 5 && reader.type() == WireType::kFixed64) {
      *fields[reader.field() - 1] = reader.float64();
    } else if (reader.field() == 6) {
      reader.append_to(histogram.bucket_limit);
    } else if (reader.field() == 7) {
      reader.append_to(histogram.bucket);
    }
  }
  return histogram;
}

SummaryValue decode_value(WireReader reader) {
  SummaryValue value;
  while (reader.next()) {
    if (reader.is(1, WireType::kBytes))
      value.tag = reader.string();
    else if (reader.is(2, WireType::kFixed32))
      value.value = reader.float32();
    else if (reader.is(5, WireType::kBytes))
      value.value = decode_histogram(reader.message());
  }
  return value;
}

bool is_session_start(WireReader reader) {
  std::int64_t status = 0;
  while (reader.next()) {
    if (reader.is(1, WireType::kVarint)) status = reader.int64();
  }
  return status == kSessionStart;
}

void decode_summary(WireReader reader, std::vector<SummaryValue>& values) {
  while (reader.next()) {
    if (reader.is(1, WireType::kBytes)) values.push_back(decode_value(reader.message()));
  }
}

EventFile read_first_events(const std::filesystem::path& path, std::size_t most) {
  EventFile file;
  RecordReader reader(path);
  try {
    for (std::string record; file.events.size() < most && reader.next(record);) {
      file.events.push_back(decode_event(record, reader.where()));
    }
  } catch (const Error& error) {
    if (error.name() == "file") throw;  // the system, not the bytes
    file.damage = error.text();
  }
  return file;
}

}  // namespace

std::string encode(const Event& event) {
  WireWriter out;
  out.add_double(1, event.wall_time);
  if (event.step != 0) out.add_int64(2, event.step);
  if (!event.file_version.empty()) out.add_bytes(3, event.file_version);
  if (!event.graph_def.empty()) out.add_bytes(kGraph, event.graph_def);
  if (!event.values.empty()) {
    WireWriter summary;
    for (const SummaryValue& value : event.values) summary.add_bytes(1, encode(value));
    out.add_bytes(5, summary.bytes());
  }
  if (event.is_restart) {
    WireWriter session_log;
    session_log.add_int64(1, kSessionStart);
    out.add_bytes(kSessionLog, session_log.bytes());
  }
  return out.bytes();
}

Event decode_event(std::string_view bytes, std::string_view where) {
  Event event;
  WireReader reader(bytes, where);
  // A oneof: of version, graph, summary and session log, the last replaces the others.
  const auto begin_anew = [&] {
    event.file_version.clear();
    event.graph_def.clear();
    event.values.clear();
    event.is_restart = false;
  };
  while (reader.next()) {
    if (reader.is(1, WireType::kFixed64)) {
      event.wall_time = reader.float64();
    } else if (reader.is(2, WireType::kVarint)) {
      event.step = reader.int64();
    } else if (reader.is(3, WireType::kBytes)) {
      begin_anew();
      event.file_version = reader.string();
    } else if (reader.is(kGraph, WireType::kBytes)) {
      begin_anew();
      event.graph_def = reader.bytes();
    } else if (reader.is(5, WireType::kBytes)) {
      // Two of one kind are merged.
      std::vector<SummaryValue> values = std::move(event.values);
      begin_anew();
      event.values = std::move(values);
      decode_summary(reader.message(), event.values);
    } else if (reader.is(kSessionLog, WireType::kBytes)) {
      begin_anew();
      event.is_restart = is_session_start(reader.message());
    }
  }
  return event;
}

EventWriter::EventWriter(const std::filesystem::path& folder)
    : file_(folder / file_name(folder), OutputFile::Mode::kNew) {
  write({.wall_time = now(), .file_version = "brain.Event:2"});
  flush();
}

void EventWriter::write(const Event& event) {
  std::string record;
  append_record(record, encode(event));
  file_.write(record);
}

void EventWriter::add(std::int64_t step, std::vector<SummaryValue> values) {
  write({.wall_time = now(), .step = step, .values = std::move(values)});
}

void EventWriter::add_restart(std::int64_t step) {
  write({.wall_time = now(), .step = step, .is_restart = true});
  flush();
}

void EventWriter::add_graph(std::string_view graph_def) {
  write({.wall_time = now(), .graph_def = std::string(graph_def)});
  flush();
}

void EventWriter::add_scalar(std::string_view tag, std::int64_t step, float value) {
  add(step, {{std::string(tag), value}});
}

void EventWriter::add_histogram(std::string_view tag, std::int64_t step,
                                std::span<const double> values) {
  add(step, {{std::string(tag), make_histogram(values)}});
}

void EventWriter::add_histogram(std::string_view tag, std::int64_t step,
                                std::span<const float> values) {
  add(step, {{std::string(tag), make_histogram(values)}});
}

bool begins_with_graph(const std::filesystem::path& path) {
  constexpr std::size_t kFirst = 3;  // behind the version, and behind a restart
  for (const Event& event : read_first_events(path, kFirst).events) {
    if (!event.graph_def.empty()) return true;
  }
  return false;
}

EventFile read_events(const std::filesystem::path& path) {
  EventFile file = read_first_events(path, std::numeric_limits<std::size_t>::max());
  // The first event tells the version.
  if (file.events.empty() && file.damage.empty())
    file.damage = fmt::format("'{}' is empty", path.string());
  return file;
}

}  // namespace maskgrad
