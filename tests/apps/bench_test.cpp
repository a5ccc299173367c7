// maskgrad bench.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;

class Bench : public test::CliTest {};

TEST_F(Bench, NamesABadFileBeforeItMeasures) {
  expect_error(run({"bench", "op-overhead", "--json", "none/b.json"}), 1,
               "cannot create 'none/b.json.tmp.");
}

TEST_F(Bench, WritesItsMediansByName) {
  const auto result = run({"bench", "op-overhead", "--json", "b.json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "benchmark op-overhead\n");
  EXPECT_THAT(result.out, ContainsRegex("op_forward_ns +[0-9.]+ +[0-9.]+ +[0-9.]+\n"));
  EXPECT_THAT(read("b.json"), ContainsRegex("\"op_forward_ns\": [0-9.]+,\n"));
}

}  // namespace
}  // namespace maskgrad
