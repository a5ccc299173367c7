// The trained model that stands in models/arithmetic.
#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class TrainedModel : public test::CliTest {
 protected:
  const std::string model_ = test::source_file("models/arithmetic").string();
};

TEST_F(TrainedModel, AnswersInFull) {
  const auto result = run({"predict", model_, "x=-12,y=24:y-x", "y=24,x=-12:y-x", "x=-98,y=47:x*y",
                           "x=99,y=99:y+x", "x=0,y=-0:x-y"});
  EXPECT_EQ(result.out, "36\n36\n-4606\n198\n0\n") << result.err;
  EXPECT_EQ(result.code, 0);
}

TEST_F(TrainedModel, ShowsItsWorkAndItsProbability) {
  const auto shown = run({"predict", model_, "--show-work", "x=-12,y=24:y-x"});
  EXPECT_EQ(shown.out, "|y+24-x-12+|+06+03|+630|  36\n");
  const auto product = run({"predict", model_, "--show-work", "x=-98,y=+047:x*y"});
  EXPECT_EQ(product.out, "|x-98*y+47-|56633236|0810071016|-6064|  -4606\n");
  const auto borrowed = run({"predict", model_, "--show-work", "x=19,y=21:x-y"});
  EXPECT_EQ(borrowed.out, "|x+19-y+21-|+08-01|-200|  -2\n") << "as docs/arithmetic.md tells";
  const auto probable = run({"predict", model_, "--probabilities", "x=-12,y=24:y-x"});
  EXPECT_THAT(probable.out, ::testing::AnyOf("36  1.0000\n", HasSubstr("36  0.999")));
}

TEST_F(TrainedModel, AnswersLinesAndNamesTheOnesThatItCannotRead) {
  const std::string longer = "x=1" + std::string(5000, '0');
  const auto result = run({"predict", model_}, {.input = "x=1,y=2:x+y\n\nx=7,y=8:x*y\nx=1:y\n" +
                                                         longer + "\nx=1,y=1:x+y\n"});
  EXPECT_THAT(result.out,
              ContainsRegex("^3\n\n56\nerror: arithmetic: 'x=1:y' is not a problem [^\n]+\n"
                            "error: arithmetic: a number in 'x=10{57}\\.\\.\\.' is "
                            "beyond 1000000000\n2\n$"));
  expect_error({result.code, "", result.err}, 1,
               "no answer to 2 of 6 lines; line 4: arithmetic: 'x=1:y' is not a problem");
  expect_error(run({"predict", model_, "x=1000,y=1:x+y"}), 1,
               "x is 1000: the model was trained on numbers from -99 to 99");
}

TEST_F(TrainedModel, IsRightOnProblemsThatWereHeldOut) {
  const auto result = run({"eval", model_, "--samples", "300", "--json", "figures.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(read("figures.json"))["results"];
  EXPECT_EQ(json["count"], 300);
  for (const char* key : {"exact_add", "exact_subtract", "exact_multiply"}) {
    EXPECT_EQ(json[key], 1.0) << key << '\n' << result.out;
  }
}

TEST_F(TrainedModel, IsSmall) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(model_)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 1'500'000U);
}

}  // namespace
}  // namespace maskgrad
