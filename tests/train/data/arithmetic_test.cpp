#include <limits>
#include <map>
#include <regex>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/folder_lock.hpp>
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::test_data;
using ::testing::ElementsAre;

std::vector<std::string> texts_of(const ArithmeticSample& sample) {
  return {sample.defs, sample.op, sample.res};
}

TEST(ArithmeticTokens, NumberTheVocabularyInItsOrder) {
  EXPECT_EQ(kArithmeticVocabulary.size(), 20U);
  EXPECT_THAT(arithmetic_tokens("x=-1:y*9| +,"), ElementsAre(3, 5, 8, 11, 1, 4, 9, 19, 2, 0, 7, 6));
  EXPECT_TRUE(arithmetic_tokens("").empty());
}

TEST(ArithmeticTokens, GoThereAndBack) {
  const std::string text(kArithmeticVocabulary);
  const std::vector<std::int64_t> tokens = arithmetic_tokens(text);
  for (std::size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], static_cast<int>(i));
  EXPECT_EQ(arithmetic_text(tokens), text);
}

TEST(ArithmeticTokens, RefuseWhatTheVocabularyLacks) {
  EXPECT_EQ(error_of([] { arithmetic_tokens("x=1;"); }),
            "[arithmetic] ';' in 'x=1;' is not one of the characters \" :|xy=,+-*0123456789\"");
  EXPECT_THAT(error_of([] { arithmetic_tokens("x=−1"); }),
              ::testing::StartsWith("[arithmetic] '−' in 'x"))
      << "a whole character, not a byte of it";
  for (const std::int64_t token : {-1, 20}) {
    EXPECT_EQ(error_of([&] {
                arithmetic_text({&token, 1});
              }),
              fmt::format("[arithmetic] token {} is outside the vocabulary of 20", token));
  }
}

// A sample read by rules of its own.
struct Parsed {
  std::int64_t x, y;
  bool x_defined_first, x_operand_first;
  char operation;
};

Parsed parse(const ArithmeticSample& sample) {
  static const std::regex defs("([xy])=(-?[0-9]+),([xy])=(-?[0-9]+)"), op("([xy])([-+*])([xy])");
  std::smatch def, term;
  EXPECT_TRUE(std::regex_match(sample.defs, def, defs)) << sample.defs;
  EXPECT_TRUE(std::regex_match(sample.op, term, op)) << sample.op;
  EXPECT_NE(def[1], def[3]) << sample.defs;
  EXPECT_NE(term[1], term[3]) << sample.op;
  const bool x_first = def[1] == "x";
  return {std::stoll(def[x_first ? 2 : 4]), std::stoll(def[x_first ? 4 : 2]), x_first,
          term[1] == "x", term[2].str()[0]};
}

TEST(ArithmeticSamples, GiveTheRightResultOfTheirOperation) {
  for (const std::int64_t max_val : {1, 10, 100, 1'000'000'000}) {
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const ArithmeticSample sample = draw_arithmetic(7, i, max_val);
      const Parsed p = parse(sample);
      const std::int64_t a = p.x_operand_first ? p.x : p.y, b = p.x_operand_first ? p.y : p.x;
      const std::map<char, std::int64_t> results = {{'+', a + b}, {'-', a - b}, {'*', a * b}};
      ASSERT_EQ(sample.res, std::to_string(results.at(p.operation))) << sample.defs << sample.op;
      ASSERT_LT(std::max(std::abs(p.x), std::abs(p.y)), max_val);
    }
  }
}

// Pearson's chi-square of counts that should all be the same.
double chi_square(const std::vector<double>& counts, double expected) {
  double total = 0;
  for (const double count : counts) total += (count - expected) * (count - expected) / expected;
  return total;
}

TEST(ArithmeticSamples, ChooseEvenlyAndIndependently) {
  constexpr std::size_t kDraws = 12000;
  std::vector<double> forms(12), values(25);
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const Parsed p = parse(draw_arithmetic(1, i, 3));
    const std::size_t operation = std::string("+-*").find(p.operation);
    ++forms[operation * 4 + p.x_defined_first * 2 + p.x_operand_first];
    ++values[static_cast<std::size_t>((p.x + 2) * 5 + p.y + 2)];
  }
  // Exceeded once in 10,000 times with 11 and with 24 degrees of freedom.
  EXPECT_LT(chi_square(forms, kDraws / 12.0), 37.4);
  EXPECT_LT(chi_square(values, kDraws / 25.0), 59.0);
}

TEST(ArithmeticSamples, DependOnSeedAndIndexAlone) {
  EXPECT_EQ(texts_of(draw_arithmetic(1, 5, 100)), texts_of(draw_arithmetic(1, 5, 100)));
  EXPECT_NE(texts_of(draw_arithmetic(1, 5, 100)), texts_of(draw_arithmetic(2, 5, 100)));
  EXPECT_NE(texts_of(draw_arithmetic(1, 5, 100)), texts_of(draw_arithmetic(1, 6, 100)));
}

TEST(ArithmeticShards, HoldTheSamplesInOrderHoweverTheyAreDivided) {
  const ScratchFolder folder;
  write_arithmetic_shards(folder / "a" / "b",
                          {.shards = 3, .samples = 4, .max_val = 50, .seed = 9});
  const auto shards = list_shards(folder / "a" / "b");
  ASSERT_EQ(shards.size(), 3U);
  EXPECT_EQ(shards[2].filename(), "shard_0002.tfrecords");
  std::uint64_t index = 0;
  for (const auto& shard : shards) {
    for (const ArithmeticSample& sample : read_arithmetic_shard(shard)) {
      EXPECT_EQ(texts_of(sample), texts_of(draw_arithmetic(9, index++, 50)));
    }
  }
  EXPECT_EQ(index, 12U);
}

TEST(ArithmeticShards, TellHowManySamplesAreWrittenSoFar) {
  const ScratchFolder folder;
  std::vector<std::int64_t> told;
  write_arithmetic_shards(folder.path(), {.shards = 2, .samples = 5000}, nullptr,
                          [&](std::int64_t done) { told.push_back(done); });
  ASSERT_GE(told.size(), 4U) << "within a shard, too";
  EXPECT_TRUE(std::ranges::is_sorted(told));
  EXPECT_TRUE(std::ranges::count(told, 5000) == 1 && told.back() == 10000);
  EXPECT_GT(told.front(), 0);
}

TEST(ArithmeticShards, LeaveOffWhenAskedToWithoutAHalfWrittenOne) {
  const ScratchFolder folder;
  std::atomic<bool> stop = false;
  EXPECT_TRUE(write_arithmetic_shards(folder.path(), {.shards = 1, .samples = 2}, &stop));
  stop = true;
  EXPECT_FALSE(write_arithmetic_shards(folder / "new", {.shards = 2, .samples = 2}, &stop));
  EXPECT_EQ(folder.count(), 3) << "the shard, its index and the folder";
  EXPECT_TRUE(std::filesystem::is_empty(folder / "new"));
}

TEST(ArithmeticShards, TakeThePlaceOfAnOlderSetOnceAllAreOnTheDisk) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "shard_9999.tfrecords");
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& path : list_folder(folder.path())) found.push_back(path.filename().string());
    return found;
  };
  write_arithmetic_shards(folder.path(), {.shards = 3, .samples = 2});
  const std::string old = read_file(folder / "shard_0000.tfrecords");
  // A folder where the index should be makes the naming fail.
  std::filesystem::rename(folder / "shards.json", folder / "index");
  std::filesystem::create_directory(folder / "shards.json");
  EXPECT_THAT(error_of([&] { write_arithmetic_shards(folder.path(), {.shards = 1, .seed = 1}); }),
              ::testing::HasSubstr("cannot write"));
  EXPECT_EQ(read_file(folder / "shard_0000.tfrecords"), old);
  EXPECT_THAT(names(), ::testing::ElementsAre("index", "shard_0000.tfrecords",
                                              "shard_0001.tfrecords", "shard_0002.tfrecords",
                                              "shard_9999.tfrecords", "shards.json"));
  std::filesystem::remove(folder / "shards.json");
  write_arithmetic_shards(folder.path(), {.shards = 1, .samples = 2, .seed = 1});
  EXPECT_NE(read_file(folder / "shard_0000.tfrecords"), old);
  EXPECT_THAT(names(), ::testing::ElementsAre("index", "shard_0000.tfrecords",
                                              "shard_9999.tfrecords", "shards.json"))
      << "the folder is no shard";
}

TEST(ArithmeticShards, AreNotWrittenWhereAnotherWriterIsAtWork) {
  const ScratchFolder folder;
  write_arithmetic_shards(folder.path(), {.shards = 2, .samples = 2});
  const std::string old = read_file(folder / "shard_0000.tfrecords");
  {
    const FolderLock other(folder.path(), "data");
    EXPECT_EQ(error_of([&] { write_arithmetic_shards(folder.path(), {.shards = 1, .seed = 1}); }),
              "[data] another process is writing to '" + folder.path().string() +
                  "': wait until it has ended");
    EXPECT_EQ(read_file(folder / "shard_0000.tfrecords"), old);
    EXPECT_EQ(list_shards(folder.path()).size(), 2U);
  }
  write_arithmetic_shards(folder.path(), {.shards = 1, .samples = 2, .seed = 1});
  EXPECT_EQ(list_shards(folder.path()).size(), 1U);
}

TEST(ArithmeticShards, OfAnyNumberNeedFewOpenFiles) {
  const ScratchFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string error =
      error_of([&] { write_arithmetic_shards(folder.path(), {.shards = 100, .samples = 1}); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(error, "no error");
  EXPECT_EQ(list_shards(folder.path()).size(), 100U);
}

TEST(ArithmeticShards, AreTheSameBytesForTheSameSeed) {
  const ScratchFolder folder;
  const auto bytes = [&](const char* name, std::uint64_t seed) {
    write_arithmetic_shards(folder / name, {.shards = 1, .samples = 50, .seed = seed});
    return read_file(folder / name / "shard_0000.tfrecords");
  };
  const std::string once = bytes("a", 3);
  EXPECT_EQ(once, bytes("b", 3));
  EXPECT_NE(once, bytes("c", 4));
}

TEST(ArithmeticShards, ReadWhatTensorFlowWrote) {
  const auto samples = read_arithmetic_shard(test_data("blog") / "shard_0000.tfrecords");
  ASSERT_EQ(samples.size(), 1000U);
  for (const ArithmeticSample& sample : samples) {
    const Parsed p = parse(sample);
    const std::int64_t a = p.x_operand_first ? p.x : p.y, b = p.x_operand_first ? p.y : p.x;
    const std::map<char, std::int64_t> results = {{'+', a + b}, {'-', a - b}, {'*', a * b}};
    ASSERT_EQ(sample.res, std::to_string(results.at(p.operation)));
  }
}

TEST(ArithmeticShards, NameTheRecordThatIsNone) {
  const ScratchFolder folder;
  const std::vector<std::int64_t> fine = {3}, wild = {20};
  const std::pair<Example, const char*> cases[] = {
      {{{"op", fine}, {"res", fine}}, "has no feature 'defs'"},
      {{{"defs", fine}, {"op", std::vector<float>{1}}, {"res", fine}},
       "feature 'op' does not hold integers"},
      {{{"defs", fine}, {"op", fine}, {"res", wild}},
       "feature 'res': token 20 is outside the vocabulary of 20"}};
  for (const auto& [example, problem] : cases) {
    RecordWriter writer(folder / "bad");
    writer.write(encode(Example{{"defs", fine}, {"op", fine}, {"res", fine}}));
    writer.write(encode(example));
    writer.commit();
    const std::string text = error_of([&] { read_arithmetic_shard(folder / "bad"); });
    EXPECT_THAT(text, ::testing::StartsWith("[arithmetic] "));
    EXPECT_THAT(text, ::testing::HasSubstr((folder / "bad").string()));
    EXPECT_THAT(text, ::testing::HasSubstr("record 1"));
    EXPECT_THAT(text, ::testing::EndsWith(problem));
  }
}

TEST(ArithmeticSamples, RefuseNumbersWhoseProductsDoNotFit) {
  for (const std::int64_t max_val :
       {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
        std::int64_t{1'000'000'001}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(error_of([&] { draw_arithmetic(0, 0, max_val); }),
              fmt::format("[arithmetic] max-val must be 1 to 1000000000, not {}", max_val));
  }
  for (std::uint64_t i = 0; i < 100; ++i) draw_arithmetic(i, i, 1'000'000'000);
}

TEST(ArithmeticShards, RefuseNumbersOutOfRange) {
  const std::pair<ArithmeticData, const char*> cases[] = {
      {{.shards = 0}, "[arithmetic] shards must be 1 to 10000, not 0"},
      {{.shards = 10001}, "[arithmetic] shards must be 1 to 10000, not 10001"},
      {{.samples = 0}, "[arithmetic] samples must be at least 1, not 0"},
      {{.shards = 4, .samples = std::int64_t{1} << 61},
       "[arithmetic] samples in all shards: 4 * 2305843009213693952 does not fit 64 bits"},
      {{.max_val = 0}, "[arithmetic] max-val must be 1 to 1000000000, not 0"},
      {{.max_val = 1'000'000'001}, "[arithmetic] max-val must be 1 to 1000000000, not 1000000001"}};
  const ScratchFolder folder;
  for (const auto& [data, text] : cases) {
    EXPECT_EQ(error_of([&, &refused = data] { write_arithmetic_shards(folder / "x", refused); }),
              text);
  }
  EXPECT_EQ(folder.count(), 0) << "nothing was made";
}

TEST(ListShards, SortsLimitsAndIgnoresOtherFiles) {
  const ScratchFolder folder;
  const std::string where = folder.path().string();
  EXPECT_EQ(error_of([&] { list_shards(folder.path()); }),
            "[data] '" + where + "' holds no *.tfrecords file");
  for (const char* name : {"b.tfrecords", "a.tfrecords", "notes.txt", "c.tfrecords.part"}) {
    OutputFile(folder / name, OutputFile::Mode::kNew).close();
  }
  EXPECT_THAT(list_shards(folder.path()),
              ElementsAre(folder / "a.tfrecords", folder / "b.tfrecords"));
  EXPECT_THAT(list_shards(folder.path(), 1), ElementsAre(folder / "a.tfrecords"));
  EXPECT_EQ(error_of([&] { list_shards(folder.path(), 3); }),
            "[data] '" + where + "' holds 2 *.tfrecords files, 3 are wanted");
  EXPECT_EQ(error_of([&] { list_shards(folder / "none"); }),
            "[file] cannot read folder '" + where + "/none': No such file or directory");
}

}  // namespace
}  // namespace maskgrad
