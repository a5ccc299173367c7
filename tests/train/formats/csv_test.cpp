#include <fmt/format.h>
#include <gmock/gmock.h>

#include <maskgrad/train/formats/csv.hpp>

namespace maskgrad {
namespace {

using ::testing::ElementsAre;
using Cells = std::vector<std::string>;

TEST(Csv, QuotesWhatWouldBeReadAsSomethingElse) {
  EXPECT_EQ(csv_cell("val/loss"), "val/loss");
  EXPECT_EQ(csv_cell(""), "");
  EXPECT_EQ(csv_cell("a,b"), R"("a,b")");
  EXPECT_EQ(csv_cell(R"(say "x")"), R"("say ""x""")");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
}

TEST(Csv, ComesBackCellByCell) {
  for (const Cells& cells : {Cells{"epoch", "a,b", "\"", "\"\"", "x\ny\r", "", "=;/"}, Cells{""}}) {
    std::vector<std::string> quoted;
    for (const std::string& cell : cells) quoted.push_back(csv_cell(cell));
    const std::string text = fmt::format("{}\nnext,line\n", fmt::join(quoted, ","));
    std::string_view rest = text;
    EXPECT_EQ(take_csv_record(rest), cells);
    EXPECT_EQ(rest, "next,line\n");
  }
}

TEST(Csv, TakesOneRecordAtATime) {
  std::string_view rest = "a,b\n\nc,";
  EXPECT_THAT(take_csv_record(rest), ElementsAre("a", "b"));
  EXPECT_THAT(take_csv_record(rest), ElementsAre(""));
  EXPECT_THAT(take_csv_record(rest), ElementsAre("c", ""));
  EXPECT_EQ(rest, "");
  rest = "\"open,\n";
  EXPECT_THAT(take_csv_record(rest), ElementsAre("open,\n"));
}

}  // namespace
}  // namespace maskgrad
