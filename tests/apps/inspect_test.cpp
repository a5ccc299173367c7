// maskgrad inspect, on files that TensorFlow and the safetensors package wrote among others.
#include <cmath>
#include <limits>

#include <sys/stat.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/cli.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::test_data;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Inspect : public test::CliTest {
 protected:
  test::CliResult inspect(const std::string& file) { return run({"inspect", file}); }
  // The output for a file that must be accepted.
  std::string accepted(const std::string& file) {
    const test::CliResult result = inspect(file);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
};

TEST_F(Inspect, ShowsEveryDtypeThatTheSafetensorsPackageWrites) {
  const std::string text = accepted(test_data("dtypes.safetensors"));
  for (const char* dtype :
       {"BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "I64", "U64", "F64"}) {
    EXPECT_THAT(text, ContainsRegex(std::string(" ") + dtype + " +\\["));
  }
}

TEST_F(Inspect, ShowsNumbersOf16Bits) {
  const std::string text = accepted(test_data("half.safetensors"));
  EXPECT_THAT(text, ContainsRegex("from32.float16 +F16 +\\["));
  EXPECT_THAT(text, ContainsRegex("from32.bfloat16 +BF16 +\\["));
}

TEST_F(Inspect, ShowsHostileNamesOnOneLine) {
  const std::string evil = "a\nb\x1b[31m";
  save_tensors(path("evil.safetensors"),
               {{evil, Tensor::zeros({2}, DType::kFloat32)},
                {std::string(500, 'n'), Tensor::zeros({}, DType::kInt64)}},
               {{"key\n", "value\nvalue"}});
  const std::string text = accepted("evil.safetensors");
  EXPECT_THAT(text, HasSubstr("\"a\\nb\\u001b[31m\""));
  EXPECT_THAT(text, HasSubstr("n\"..."));
  EXPECT_THAT(text, HasSubstr("value\\nvalue\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 8);
}

// Verdicts of the safetensors package on the same bytes.
TEST_F(Inspect, RefusesSafetensorsThatTheReferenceRefuses) {
  const std::string good = read_file(test_data("float32.safetensors"));
  std::string header_length = good, gap = good, letter = good;
  header_length[3] = '\x7f';
  gap[gap.find("\"data_offsets\":[") + 16] = '1';
  letter[9] = '\xff';
  for (const std::string& bytes : {header_length, gap, letter, good + "x", good.substr(0, 7),
                                   good.substr(0, good.size() - 1), std::string()}) {
    write("f.safetensors", bytes);
    expect_error(inspect("f.safetensors"), 1, "safetensors: 'f.safetensors': ");
  }
}

TEST_F(Inspect, ShowsExamplesThatTensorFlowWrote) {
  const std::string text = accepted(test_data("arithmetic.tfrecords"));
  EXPECT_THAT(text, HasSubstr("record 0, "));
  EXPECT_THAT(text, ContainsRegex("  defs   \\[[0-9, ]+\\]\n  op     \\[[34], [789], [34]\\]\n"));
  EXPECT_THAT(text, HasSubstr("\n3 records, "));
  for (const ArithmeticSample& sample : read_arithmetic_shard(test_data("arithmetic.tfrecords"))) {
    EXPECT_THAT(text,
                HasSubstr("\n  text   " + sample.defs + ":" + sample.op + ":" + sample.res + "\n"));
  }
  EXPECT_THAT(accepted(test_data("features.tfrecords")), HasSubstr("\n1 record, "));
}

TEST_F(Inspect, RefusesEveryFlippedBitOfAShard) {
  const std::string whole = read_file(test_data("arithmetic.tfrecords"));
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 37) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    write("f.tfrecords", flipped);
    expect_error(inspect("f.tfrecords"), 1, "checksum does not match");
  }
}

// tf.data.TFRecordDataset refuses a record cut in its data, and takes one cut in its header for the
// file's end.
TEST_F(Inspect, JudgesACutShardAsTensorFlowDoes) {
  const std::string whole = read_file(test_data("arithmetic.tfrecords"));
  RecordReader reader(test_data("arithmetic.tfrecords"));
  std::string record;
  ASSERT_TRUE(reader.next(record));
  const std::size_t second = record.size() + 16;
  for (const std::size_t in_data : {second + 12, second + 13, whole.size() - 1}) {
    write("f.tfrecords", whole.substr(0, in_data));
    expect_error(inspect("f.tfrecords"), 1, "truncated in its data");
  }
  for (const std::size_t in_header : {std::size_t{1}, std::size_t{11}}) {
    write("f.tfrecords", whole.substr(0, second + in_header));
    const std::string text = accepted("f.tfrecords");
    EXPECT_THAT(text, HasSubstr("\n1 record, "));
    EXPECT_THAT(text, HasSubstr(fmt::format("then {} byte{} of a record that was cut", in_header,
                                            in_header == 1 ? "" : "s")));
  }
}

TEST_F(Inspect, ShowsEventsThatTensorFlowWrote) {
  const std::string text = accepted(test_data("tensorflow.tfevents"));
  EXPECT_THAT(text, ContainsRegex("histogram +1 +7\\.\\.7"));
  EXPECT_THAT(text, ContainsRegex("scalar +1 +8\\.\\.8 +1\\.25"));
}

TEST_F(Inspect, ShowsARunAndEachOfItsFiles) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0);
  const std::string text = accepted("r");
  EXPECT_THAT(text, HasSubstr("run of recipe blog\n"));
  EXPECT_THAT(text, ContainsRegex("\nbatch_size +2\n"));
  EXPECT_THAT(text, ContainsRegex("\n +2 +80 +[0-9.]+ "));
  EXPECT_THAT(text, ContainsRegex("embed.weight +F32 +\\[20, 15\\] +1,200 +-0\\."));
  EXPECT_THAT(accepted("r/model.safetensors"), HasSubstr("8 tensors, 196,580 bytes"));
  EXPECT_THAT(accepted("r/checkpoints/step_000000000080.safetensors"), HasSubstr("24 tensors"));
  for (const auto& events : std::filesystem::directory_iterator(path("r/logs"))) {
    EXPECT_THAT(accepted(events.path()), ContainsRegex("epoch/loss +scalar +2 +40\\.\\.80"));
  }
  std::filesystem::remove(path("r/model.safetensors"));
  EXPECT_THAT(accepted("r"), HasSubstr("\nits training has not ended yet; end it as it is with: "
                                       "maskgrad train blog --out r --resume --steps 80; go on "
                                       "with: maskgrad train blog --out r --resume\n"));
}

std::size_t times(std::string_view part, std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(Inspect, ShowsTheSettingsOfARunOnce) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  EXPECT_EQ(times("batch_size", accepted("r")), 1U);
  EXPECT_EQ(times("\nnote.data:", accepted("r")), 1U) << "other notes stay";
  EXPECT_EQ(times("batch_size", accepted("r/model.safetensors")), 1U)
      << "a file by itself has nothing else to tell them";
}

// Each row of a run's weights stays one line that a person can compare with the others.
TEST_F(Inspect, LeavesColumnsOutWhereATerminalIsNarrow) {
  if (!test::has_terminals()) GTEST_SKIP();
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const auto shown = [&](int columns) {
    return run({"inspect", "r/model.safetensors"}, {.terminal_columns = columns}).out;
  };
  const std::string narrow = shown(80);
  EXPECT_THAT(narrow, ContainsRegex("embed.weight +F32 +\\[20, 15\\] "));
  EXPECT_THAT(narrow, HasSubstr("left out, to fit: not finite, std"));
  std::istringstream table(narrow.substr(0, narrow.find("left out")));
  for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 81U) << line;
  const std::string wide = shown(200);
  EXPECT_THAT(wide, Not(HasSubstr("left out")));
  EXPECT_THAT(wide, ContainsRegex("max +std +zeros +not finite"));
  EXPECT_THAT(shown(30), HasSubstr("embed.weight\r\n  dtype: F32;"));
}

TEST_F(Inspect, KeepsTheColumnOfNumbersThatAreNotFiniteWhereThereAreSome) {
  if (!test::has_terminals()) GTEST_SKIP();
  const Tensor x = Tensor::from<float>({1, std::numeric_limits<float>::infinity()}, {2});
  save_tensors(path("f.safetensors"), {{std::string(40, 'x'), x}});
  const auto result = run({"inspect", "f.safetensors"}, {.terminal_columns = 90});
  EXPECT_THAT(result.out, ContainsRegex("zeros +not finite"));
  EXPECT_THAT(result.out, HasSubstr("left out, to fit: std"));
}

TEST_F(Inspect, SaysWhatIsDamagedInARun) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0);
  EXPECT_THAT(accepted("r"), HasSubstr("\nits digest matches\n"));
  for (const auto& events : std::filesystem::directory_iterator(path("r/logs"))) {
    std::filesystem::resize_file(events.path(), std::filesystem::file_size(events.path()) - 1);
    EXPECT_THAT(
        accepted(events.path()),
        ContainsRegex("epoch/loss +scalar +2 (.|\n)*\n[0-9]+ events\nthe rest is damaged: '.*': "
                      "record [0-9]+ at byte [0-9]+: truncated in its data\n"));
  }
  EXPECT_THAT(accepted("r"), ContainsRegex("\ndamaged: '.*tfevents.*: truncated in its data: "));
  const std::string checkpoint = "r/checkpoints/step_000000000080.safetensors";
  std::string bytes = read(checkpoint);
  bytes.back() ^= 1;
  write(checkpoint, bytes);
  EXPECT_THAT(accepted("r"), HasSubstr("\ndamaged: '" + checkpoint + "': its bytes do not match"));
  expect_error(inspect(checkpoint), 1, "the file is damaged");
  std::string table = read("r/epochs.csv");
  table[table.find("\n1,40,") + 6] ^= 1;
  write("r/epochs.csv", table);
  expect_error(inspect("r"), 1, "'r/epochs.csv' is not the table that the run wrote");
  write("noise.tfevents", "no record at all");
  expect_error(inspect("noise.tfevents"), 1, "record 0 at byte 0: ");
}

// The line of a table that begins with this name.
std::string line_of(const std::string& text, const std::string& name) {
  const std::size_t begin = ("\n" + text).find("\n" + name + " ");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), {}};
}

TEST_F(Inspect, TellsWhatTheNumbersOfATensorAreLike) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::vector<float> few(4000, 1);
  few[7] = 0;
  save_tensors(path("t.safetensors"),
               {{"plain", Tensor::from<float>({1, 2, 3, 6}, {2, 2})},
                {"holes", Tensor::from<double>({0, -0.0, 3, 5}, {4})},
                {"wild", Tensor::from<float>({kInf, -kInf, NAN, -2, 4}, {5})},
                {"lost", Tensor::from<float>({NAN, kInf}, {2})},
                {"whole", Tensor::from<std::int64_t>({-most - 1, most}, {2})},
                {"bits", test::bits({1, 0, 0, 0, 1}, {5})},
                {"few", Tensor::from<float>(few, {4000})},
                {"none", Tensor::zeros({0}, DType::kFloat32)}});
  const std::string text = accepted("t.safetensors");
  using Words = std::vector<std::string>;
  const auto numbers = [&](const char* name, std::size_t skipped) {
    Words words = words_of(line_of(text, name));
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(skipped));
    return words;
  };
  // min, mean, max, std, zeros, not finite; std by sqrt(mean of squares - square of mean)
  EXPECT_EQ(numbers("plain", 5), (Words{"1", "3", "6", "1.87", "0", "%", "0"}));
  EXPECT_EQ(numbers("holes", 4), (Words{"0", "2", "5", "2.12", "50", "%", "0"}));
  EXPECT_EQ(numbers("wild", 4), (Words{"-2", "1", "4", "3", "0", "%", "3"}));
  EXPECT_EQ(numbers("lost", 4), (Words{"0", "%", "2"}));
  EXPECT_EQ(numbers("whole", 4), (Words{"-9.22e+18", "0", "9.22e+18", "9.22e+18", "0", "%", "0"}));
  EXPECT_EQ(numbers("bits", 4), (Words{"0", "0.4", "1", "0.49", "60", "%", "0"}));
  EXPECT_EQ(numbers("few", 4), (Words{"0", "1", "1", "0.0158", "below", "0.1", "%", "0"}));
  EXPECT_EQ(numbers("none", 4), Words{});
}

// Numbers of Python's struct module, format e; BF16 is the upper half of a float.
TEST_F(Inspect, ReadsTheNumbersOfHalfPrecision) {
  const auto describe = [&](const char* dtype, std::vector<std::uint16_t> bits) {
    const std::string_view data(reinterpret_cast<const char*>(bits.data()), 2 * bits.size());
    const SafetensorsEntry entry{"x", dtype, {std::ssize(bits)}, data};
    write_safetensors(path("h.safetensors"), {&entry, 1});
    std::vector<std::string> words = words_of(line_of(accepted("h.safetensors"), "x"));
    words.erase(words.begin(), words.begin() + 4);
    return words;
  };
  using Words = std::vector<std::string>;
  // 65504, -2, the smallest subnormal, -0, inf, nan
  EXPECT_EQ(describe("F16", {0x7bff, 0xc000, 0x0001, 0x8000, 0x7c00, 0x7e00}),
            (Words{"-2", "1.64e+04", "6.55e+04", "2.84e+04", "17", "%", "2"}));
  EXPECT_EQ(describe("F16", {0x0001, 0x0001}),
            (Words{"5.96e-08", "5.96e-08", "5.96e-08", "0", "0", "%", "0"}));
  EXPECT_EQ(describe("F16", {0x3555, 0x3c00}),
            (Words{"0.333", "0.667", "1", "0.333", "0", "%", "0"}));
  // 1, -3.140625, 3.3895e38, -inf
  EXPECT_EQ(describe("BF16", {0x3f80, 0xc049, 0x7f7f, 0xff80}),
            (Words{"-3.14", "1.13e+38", "3.39e+38", "1.6e+38", "0", "%", "1"}));
}

TEST_F(Inspect, ShowsTheShardsOfAFolderOfData) {
  const std::string text = accepted("d");
  EXPECT_THAT(text, ContainsRegex("shard_0000\\.tfrecords +40 +[0-9,]+\n"));
  EXPECT_THAT(text, HasSubstr("\n80 records in 2 shards\nall of them, as shards.json says\n"));
  const std::string shard = read("d/shard_0001.tfrecords");
  write("d/shard_0001.tfrecords", shard.substr(0, shard.size() - 1));
  EXPECT_THAT(accepted("d"), HasSubstr("damaged: 'd/shard_0001.tfrecords': record 39 at byte"));
  std::filesystem::remove(path("d/shard_0001.tfrecords"));
  const std::string less = accepted("d");
  EXPECT_THAT(less, HasSubstr("\n40 records in 1 shard\ndamaged: "));
  EXPECT_THAT(less, HasSubstr("shard_0001.tfrecords' is missing"));
  std::filesystem::remove(path("d/shards.json"));
  EXPECT_THAT(accepted("d"), ::testing::EndsWith("\n40 records in 1 shard\n"));
}

TEST_F(Inspect, ShowsTheLogsAndTheCheckpointsOfARun) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0);
  ASSERT_EQ(train({"--out", "r", "--epochs", "3", "--resume"}).code, 0);
  const std::string logs = accepted("r/logs");
  EXPECT_THAT(logs, ContainsRegex("epoch/loss +scalar +3 +40\\.\\.120 +[0-9.]+\n"));
  EXPECT_THAT(logs, ContainsRegex("\n[0-9]+ events in 2 files\n$"));
  const std::string checkpoints = accepted("r/checkpoints");
  EXPECT_THAT(checkpoints, ContainsRegex("step_000000000120\\.safetensors +\"maskgrad check.*\" +"
                                         "[0-9]+ +[0-9,]+\n"));
  const std::string newest = "r/checkpoints/step_000000000120.safetensors";
  std::string bytes = read(newest);
  bytes.back() ^= 1;
  write(newest, bytes);
  EXPECT_THAT(accepted("r/checkpoints"), ContainsRegex("step_0+120.safetensors +damaged .*digest"));
}

TEST_F(Inspect, ListsWhatStandsInAFolderOfRuns) {
  ASSERT_EQ(train({"--out", "all/first", "--epochs", "2", "--val", "d"}).code, 0);
  ASSERT_EQ(train({"--out", "all/second", "--steps", "50"}).code, 0);
  std::filesystem::remove(path("all/second/model.safetensors"));
  ASSERT_EQ(train({"--out", "all/broken", "--epochs", "1"}).code, 0);
  write("all/broken/config.toml", "recipe = 'blog'\nversion = 1\n");
  std::filesystem::rename(path("d"), path("all/heldout"));
  std::filesystem::create_directory(path("all/pictures"));
  const std::string text = accepted("all");
  EXPECT_THAT(text, ContainsRegex("\nfirst +run, blog +2 epochs, 80 steps: loss [0-9.]+, accuracy "
                                  "[0-9.]+.*; best validation loss [0-9.]+\n"));
  EXPECT_THAT(text,
              ContainsRegex("\nsecond +run, blog +1.250 epochs, 50 steps: .*; its training has "
                            "not ended yet\n"));
  EXPECT_THAT(text, ContainsRegex("\nbroken +damaged +all/broken/config.toml: 'data' is missing"));
  EXPECT_THAT(text, ContainsRegex("\nheldout +data +2 shards\n"));
  EXPECT_THAT(text, Not(HasSubstr("pictures")));
  EXPECT_THAT(accepted("."), ContainsRegex("\nall +folder +3 runs\n"));
  const std::string run = accepted("all/first/");
  EXPECT_EQ(accepted("all/first"), run) << "a run is a run";
}

TEST_F(Inspect, PrintsCountsOfStepsAndPartsOfAnEpochPlainly) {
  ASSERT_EQ(train({"--out", "r", "--steps", "81"}).code, 0);
  EXPECT_THAT(accepted("r"), ContainsRegex("\n +2 +80 .*\n2\\.025 +81 "));
}

TEST_F(Inspect, GoesByContentWhereTheNameSaysNothing) {
  std::filesystem::copy_file(test_data("float32.safetensors"), path("weights"));
  std::filesystem::copy_file(test_data("arithmetic.tfrecords"), path("records"));
  EXPECT_THAT(accepted("weights"), HasSubstr("tensors, "));
  EXPECT_THAT(accepted("records"), HasSubstr("3 records, "));
}

TEST_F(Inspect, SaysWhatItCannotMakeOut) {
  write("garbage", "no format of ours");
  write("empty", "");
  std::filesystem::create_directory(path("folder"));
  expect_error(inspect("garbage"), 1, "'garbage' is no safetensors, TFRecord or event file");
  expect_error(inspect("empty"), 1, "'empty' is no safetensors, TFRecord or event file");
  expect_error(inspect("folder"), 1,
               "'folder' is no run, and holds no data, logs, weights or runs");
  expect_error(inspect("none"), 1, "cannot open 'none': No such file or directory");
  expect_error(inspect("/dev/zero"), 1, "cannot read '/dev/zero': it is no regular file");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  expect_error(inspect("pipe"), 1, "cannot read 'pipe': it is no regular file");
}

TEST_F(Inspect, SaysWhatAPersonChangedInTheSettingsOfARun) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  EXPECT_THAT(accepted("r"), Not(HasSubstr("changed")));
  std::string config = read("r/config.toml");
  config.replace(config.find("lr = 0.001"), 10, "lr = 0.5  ");
  config.replace(config.find("minutes = 0.0"), 13, "minutes = 2.0");
  write("r/config.toml", config);
  const std::string changes =
      "changed since training: minutes: 0.0 -> 2.0\nchanged since training: lr: 0.001 -> 0.5\n";
  EXPECT_THAT(accepted("r"), HasSubstr(changes));
  std::filesystem::remove_all(path("r/checkpoints"));
  EXPECT_THAT(accepted("r"), HasSubstr("changed since training: lr: 0.001 -> 0.5\n"));
}

TEST_F(Inspect, SaysOfASoundShardThatRecordsAreMissing) {
  const std::string shard = read("d/shard_0001.tfrecords");
  EXPECT_THAT(accepted("d/shard_0001.tfrecords"), Not(HasSubstr("damaged")));
  const auto first = static_cast<unsigned char>(shard[0]) + std::size_t{16};  // with its frame
  write("d/shard_0001.tfrecords", shard.substr(0, first));
  EXPECT_THAT(accepted("d/shard_0001.tfrecords"),
              HasSubstr("damaged: 'd/shard_0001.tfrecords' has " + std::to_string(first) +
                        " bytes, and had " + with_commas(std::ssize(shard))));
  write("d/other.tfrecords", shard);
  EXPECT_THAT(accepted("d/other.tfrecords"), Not(HasSubstr("damaged")));
}

}  // namespace
}  // namespace maskgrad
