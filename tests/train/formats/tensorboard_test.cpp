#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::from_hex;
using test::ScratchFolder;
using test::test_data;
using ::testing::HasSubstr;

TEST(TensorBoard, TheFirstRecordHasTheKnownBytes) {
  std::string record;
  append_record(record, encode(Event{.file_version = "brain.Event:2"}));
  EXPECT_EQ(record, from_hex("1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e74"
                             "3a32eedf28a3"));
}

TEST(TensorBoard, ReadsWhatTensorFlowWrote) {
  const auto events = read_events(test_data("tensorflow.tfevents")).events;
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_TRUE(events[0].values.empty());
  EXPECT_EQ(events[1].step, 7);
  ASSERT_EQ(events[1].values.size(), 1U);
  EXPECT_EQ(events[1].values[0].tag, "weights");
  EXPECT_EQ(std::get<Histogram>(events[1].values[0].value).num, 10);
  EXPECT_EQ(events[2].step, 8);
  EXPECT_GE(events[2].wall_time, events[1].wall_time);
  ASSERT_EQ(events[2].values.size(), 2U);
  EXPECT_EQ(events[2].values[0].tag, "loss");
  EXPECT_EQ(std::get<float>(events[2].values[0].value), 1.25f);
  EXPECT_EQ(events[2].values[1].tag, "note");  // text, which is not read
  EXPECT_TRUE(std::holds_alternative<std::monostate>(events[2].values[1].value));
}

TEST(TensorBoard, WritesTensorFlowsBytesForASummary) {
  RecordReader reader(test_data("tensorflow.tfevents"));
  std::string record;
  ASSERT_TRUE(reader.next(record) && reader.next(record));
  EXPECT_EQ(encode(decode_event(record)), record);
}

TEST(TensorBoard, ReadsBackWhatItWrote) {
  const ScratchFolder folder;
  EventWriter writer(folder.path());
  const std::vector<double> doubles = {-1, 0.5, 0.5};
  const std::vector<float> floats = {3, 4};
  writer.add_scalar("loss", 1, 0.75f);
  writer.add_histogram("w", 1, doubles);
  writer.add_histogram("v", -2, floats);
  writer.add(3, {{"a", 1.0f}, {"b", make_histogram(doubles)}});
  writer.flush();
  const auto events = read_events(writer.path()).events;
  ASSERT_EQ(events.size(), 5U);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const Event& event : events) EXPECT_NEAR(event.wall_time, now, 60);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].step, 1);
  EXPECT_EQ(std::get<float>(events[1].values.at(0).value), 0.75f);
  EXPECT_EQ(std::get<Histogram>(events[2].values.at(0).value).bucket,
            make_histogram(doubles).bucket);
  EXPECT_EQ(events[3].step, -2);
  EXPECT_EQ(std::get<Histogram>(events[3].values.at(0).value).sum, 7);
  ASSERT_EQ(events[4].values.size(), 2U);
  EXPECT_EQ(events[4].values[1].tag, "b");
}

TEST(TensorBoard, NamesFilesAsTensorBoardExpectsAndNeverTwice) {
  const ScratchFolder folder;
  const EventWriter one(folder.path());
  const EventWriter other(folder.path());
  const std::string name = one.path().filename().string();
  const std::string prefix = "events.out.tfevents.";
  ASSERT_EQ(name.substr(0, prefix.size()), prefix);
  EXPECT_EQ(name.find_first_not_of("0123456789", prefix.size()), prefix.size() + 10) << name;
  EXPECT_EQ(name[prefix.size() + 10], '.') << name;
  EXPECT_THAT(name, HasSubstr(fmt::format(".{}.", ::getpid())));
  EXPECT_NE(one.path(), other.path());
  EXPECT_EQ(folder.count(), 2);
}

TEST(TensorBoard, IsReadableWhileItGrows) {
  const ScratchFolder folder;
  EventWriter writer(folder.path());
  EXPECT_EQ(read_events(writer.path()).events.size(), 1U);
  writer.add_scalar("loss", 1, 1);
  writer.flush();
  EXPECT_EQ(read_events(writer.path()).events.size(), 2U);
}

TEST(TensorBoard, OfVersionSummaryAndRestartTheLastReplacesTheOthers) {
  const std::string version = encode(Event{.file_version = "v"});
  const std::string summary = encode(Event{.values = {{"loss", 1.0f}}});
  const std::string restart = encode(Event{.is_restart = true});
  EXPECT_EQ(decode_event(version + summary).file_version, "");
  EXPECT_EQ(decode_event(version + summary).values.size(), 1U);
  EXPECT_EQ(decode_event(summary + version).file_version, "v");
  EXPECT_TRUE(decode_event(summary + version).values.empty());
  EXPECT_TRUE(decode_event(summary + restart).is_restart);
  EXPECT_TRUE(decode_event(summary + restart).values.empty());
  EXPECT_FALSE(decode_event(restart + version).is_restart);
  EXPECT_EQ(decode_event(summary + summary).values.size(), 2U) << "two of a kind are merged";
}

// The bytes of tf.compat.v1.Event(step=7, session_log=SessionLog(status=SessionLog.START)), and of
// the same with status STOP.
TEST(TensorBoard, SaysThatARunGoesOnAsTensorFlowDoes) {
  EXPECT_EQ(encode(Event{.step = 7, .is_restart = true}).substr(9), from_hex("10073a020801"));
  EXPECT_TRUE(decode_event(from_hex("10073a020801")).is_restart);
  EXPECT_FALSE(decode_event(from_hex("10073a020802")).is_restart);
}

TEST(TensorBoard, NamesEachFileSoThatItSortsBehindThoseBefore) {
  const ScratchFolder folder;
  for (const char* name : {"events.out.tfevents.4102444800.z.1.0", "events.out.tfevents.x",
                           "events.out.tfevents.99999999999999999999", "notes"}) {
    write_file(folder / name, "");
  }
  std::filesystem::path last = folder / "events.out.tfevents.4102444800.z.1.0";
  for (int i = 0; i < 12; ++i) {
    const EventWriter writer(folder.path());
    EXPECT_LT(last, writer.path());
    last = writer.path();
  }
}

TEST(TensorBoard, ReadsUpToTheFirstDamageAndSaysWhereThatIs) {
  const ScratchFolder folder;
  const auto path = folder / "tfevents";
  std::string sound;
  append_record(sound, encode(Event{}));
  const std::string where = fmt::format("'{}': record 1 at byte 25", path.string());
  std::string malformed = sound, torn = sound, flipped = sound;
  append_record(malformed, from_hex("2a0a0a"));
  append_record(torn, encode(Event{}));
  append_record(flipped, encode(Event{}));
  flipped[40] ^= 1;
  for (const auto& [bytes, damage] : std::vector<std::pair<std::string, std::string>>{
           {sound, ""},
           {"", fmt::format("'{}' is empty", path.string())},
           {malformed, where + ": byte 2: truncated"},
           {torn.substr(0, torn.size() - 1), where + ": truncated in its data"},
           {torn.substr(0, 26), where + ": truncated in its header"},
           {flipped + sound, where + ": data checksum does not match"},
           {"no events",
            fmt::format("'{}': record 0 at byte 0: truncated in its header", path.string())}}) {
    write_file(path, bytes);
    const EventFile file = read_events(path);
    EXPECT_EQ(file.damage, damage);
    EXPECT_EQ(file.events.size(), bytes.starts_with(sound.substr(0, 8)) ? 1U : 0U);
  }
  EXPECT_THAT(error_of([&] { read_events(folder / "none"); }), HasSubstr("cannot open"));
}

TEST(TensorBoard, SaysWhyNoFileCanBeCreated) {
  const ScratchFolder folder;
  EXPECT_THAT(error_of([&] { EventWriter writer(folder / "none"); }),
              HasSubstr("No such file or directory"));
  write_file(folder / "file", "");
  EXPECT_THAT(error_of([&] { EventWriter writer(folder / "file"); }), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace maskgrad
