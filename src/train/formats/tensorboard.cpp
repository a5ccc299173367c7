#include <atomic>
#include <chrono>
#include <utility>

#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/protobuf.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

namespace maskgrad {
namespace {

double now() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since_1970).count();
}

std::string file_name() {
  static std::atomic<int> files_of_this_process{0};
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = 'x';
  return fmt::format("events.out.tfevents.{:010}.{}.{}.{}", static_cast<std::int64_t>(now()), host,
                     ::getpid(), files_of_this_process++);
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

void decode_summary(WireReader reader, std::vector<SummaryValue>& values) {
  while (reader.next()) {
    if (reader.is(1, WireType::kBytes)) values.push_back(decode_value(reader.message()));
  }
}

}  // namespace

std::string encode(const Event& event) {
  WireWriter out;
  out.add_double(1, event.wall_time);
  if (event.step != 0) out.add_int64(2, event.step);
  if (!event.file_version.empty()) out.add_bytes(3, event.file_version);
  if (!event.values.empty()) {
    WireWriter summary;
    for (const SummaryValue& value : event.values) summary.add_bytes(1, encode(value));
    out.add_bytes(5, summary.bytes());
  }
  return out.bytes();
}

Event decode_event(std::string_view bytes, std::string_view where) {
  Event event;
  WireReader reader(bytes, where);
  while (reader.next()) {
    if (reader.is(1, WireType::kFixed64)) {
      event.wall_time = reader.float64();
    } else if (reader.is(2, WireType::kVarint)) {
      event.step = reader.int64();
    } else if (reader.is(3, WireType::kBytes)) {
      event.values.clear();  // a oneof: the later of version and summary replaces the other
      event.file_version = reader.string();
    } else if (reader.is(5, WireType::kBytes)) {
      event.file_version.clear();
      decode_summary(reader.message(), event.values);
    }
  }
  return event;
}

EventWriter::EventWriter(const std::filesystem::path& folder)
    : file_(folder / file_name(), OutputFile::Mode::kNew) {
  write({.wall_time = now(), .step = 0, .file_version = "brain.Event:2", .values = {}});
  flush();
}

void EventWriter::write(const Event& event) {
  std::string record;
  append_record(record, encode(event));
  file_.write(record);
}

void EventWriter::add(std::int64_t step, std::vector<SummaryValue> values) {
  write({.wall_time = now(), .step = step, .file_version = {}, .values = std::move(values)});
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

std::vector<Event> read_events(const std::filesystem::path& path) {
  std::vector<Event> events;
  RecordReader reader(path);
  for (std::string record; reader.next(record);) {
    events.push_back(decode_event(record, reader.where()));
  }
  return events;
}

}  // namespace maskgrad
