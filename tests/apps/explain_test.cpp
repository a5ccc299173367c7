// maskgrad explain: one input, drawn.
#include <algorithm>
#include <cmath>
#include <functional>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/cli.hpp"
#include "support/markup.hpp"

namespace maskgrad {
namespace {

using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kQuestion = "x=-12,y=24:y-x";

// The characters of UTF-8 text.
std::size_t width_of(const std::string& line) {
  return static_cast<std::size_t>(std::ranges::count_if(
      line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, width_of(line));
  return widest;
}

class Explain : public test::CliTest {
 protected:
  static test::CliOptions in_locale(const char* name, int columns = 0) {
    return {.environment = {std::string("LC_ALL=") + name}, .terminal_columns = columns};
  }
  void train_with(const char* mask) {
    ASSERT_EQ(train({"--out", mask, "--epochs", "2", "--lr", "0.01", "--mask", mask}).code, 0);
  }
  /// What `maskgrad explain` with these arguments prints, without an error.
  std::string explained(std::vector<std::string> args, test::CliOptions options = {}) {
    args.insert(args.begin(), "explain");
    const auto result = run(args, std::move(options));
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.err, "");
    return result.out;
  }
  json numbers(const std::string& run_folder, const std::string& text) {
    explained({run_folder, text, "--json", "n.json"});
    return json::parse(read("n.json"));
  }

  const std::string arithmetic_ = test::source_file("models/arithmetic").string();
};

// Each row sums to 1 where its query keeps a key, and what is not kept has exactly 0.
void expect_weights(const json& attention, const std::function<bool(int, int)>& keeps) {
  std::int64_t kept = 0;
  for (const json& head : attention["weights"]) {
    for (int s = 0; s < static_cast<int>(head.size()); ++s) {
      double sum = 0;
      bool is_any = false;
      for (int t = 0; t < static_cast<int>(head[0].size()); ++t) {
        const double weight = head[static_cast<std::size_t>(s)][static_cast<std::size_t>(t)];
        EXPECT_TRUE(keeps(s, t) || weight == 0) << s << " " << t;
        kept += keeps(s, t);
        is_any = is_any || keeps(s, t);
        sum += weight;
      }
      EXPECT_NEAR(sum, is_any ? 1 : 0, 1e-5);
    }
  }
  EXPECT_EQ(attention["kept"], kept);
}

TEST_F(Explain, DrawsTheTokensMaskAndWeightsOfOneInput) {
  train_with("key");
  const std::string out = explained({"key", kQuestion}, in_locale("C"));
  EXPECT_THAT(out, HasSubstr("x=-12,y=24:y-x\n20 positions: 14 exist, 6 are padding.\n"));
  EXPECT_THAT(out, HasSubstr("token     x=-12,y=24:y-x______\n"
                             "exists    ##############......\n"));
  EXPECT_THAT(out, HasSubstr("\nexisting: positions that exist attend to positions that exist. "
                             "Keeps 196 of 400\npairs (49 %).\n"));
  EXPECT_THAT(out, HasSubstr("\n 13 x ##############......"));
  EXPECT_THAT(out, HasSubstr("\n 14 _ ....................    14 _\n"));
  EXPECT_THAT(out, HasSubstr("Padding gets no weight.\n"));
  EXPECT_THAT(out, ContainsRegex("\nlayer 0 reflect +196 +400 +49 % +196 +5,880 +6,120\n"));
  EXPECT_THAT(out, HasSubstr("compute 20 positions, of which 14 exist"));
  std::string answer = out.substr(out.find("first character of the answer\n") + 30);
  for (std::size_t at; (at = answer.find(",\n")) != std::string::npos;) answer[at + 1] = ' ';
  EXPECT_EQ(answer, run({"predict", "key", "--probabilities", kQuestion}).out);
}

TEST_F(Explain, TellsThatAMaskOnWholeRowsHidesNoKey) {
  for (const char* mask : {"key", "query", "none"}) train_with(mask);
  const auto keeps_all = [](int, int) { return true; };
  const auto keeps_existing = [](int s, int t) { return s < 14 && t < 14; };
  expect_weights(numbers("key", kQuestion)["attention"][0], keeps_existing);
  for (const char* mask : {"query", "none"}) {
    const json found = numbers(mask, kQuestion);
    expect_weights(found["attention"][0], keeps_all);
    EXPECT_EQ(found["attention"][0]["computed"], 400);
    EXPECT_EQ(found["exists"][13], true);
    EXPECT_EQ(found["exists"][14], false);
    const std::string text = explained({mask, kQuestion});
    EXPECT_THAT(text, ContainsRegex("Padding gets [1-9][0-9.]* % of the weight"));
  }
  EXPECT_THAT(explained({"query", kQuestion}),
              HasSubstr("reflect: A bias is added to the scores. It changes no weight"));
  EXPECT_THAT(explained({"none", kQuestion}), Not(HasSubstr("bias")));
}

TEST_F(Explain, ShowsEachHeadOfADecoderInOneLineOrWhole) {
  const std::string out = explained({arithmetic_, kQuestion}, in_locale("C"));
  EXPECT_THAT(out, HasSubstr("38 positions, all of which exist. 15 were given; the model "
                             "wrote the 23 behind\nthem.\n"));
  EXPECT_THAT(out, HasSubstr("token     x=-12,y=+24:y-x|y+24-x-12+|+06+03|+630\n"));
  EXPECT_THAT(out, HasSubstr("what position 33 '|' attends to, by layer and head\nThis position "
                             "writes the first character of the answer.\n"));
  EXPECT_THAT(out, ContainsRegex("layer 2  head 2  [^\n]+  32 '3' 1.00\n"));
  EXPECT_THAT(out, ContainsRegex("Keeps 741 of 1,444[ \n]pairs \\(51 %\\) in each head\\."));
  EXPECT_THAT(out, ContainsRegex("\nlayer 0 decoder.block0 +2,964 +5,776"));
  EXPECT_THAT(out, HasSubstr("\nThe table counts all heads of a layer, and attention alone. "
                             "Attention computes\npairs in blocks"));
  EXPECT_THAT(out, Not(HasSubstr("1824 pairs"))) << "what a batch would be packed to";
  EXPECT_THAT(out, Not(HasSubstr("\n\n\n")));
  const std::string other = explained({arithmetic_, kQuestion, "--position", "3"});
  EXPECT_THAT(other, HasSubstr("what position 3 '1' attends to"));
  EXPECT_THAT(other, Not(HasSubstr("This position writes")));
  EXPECT_THAT(out, ContainsRegex("\nlayer 2  head 3  [^\n]+\n"));
  EXPECT_THAT(out, HasSubstr("\n|y+24-x-12+|+06+03|+630|\n36  "));
  EXPECT_THAT(out, Not(HasSubstr("layer 1 head 2")));
  const std::string whole = explained({arithmetic_, kQuestion, "--layer", "1", "--head", "2"});
  EXPECT_THAT(whole, HasSubstr("layer 1 head 2"));
  EXPECT_THAT(whole, Not(HasSubstr("layer 1 head 1")));
  const json found = numbers(arithmetic_, kQuestion);
  ASSERT_EQ(found["attention"].size(), 3U);
  for (const json& attention : found["attention"]) {
    EXPECT_EQ(attention["mask"], "causal");
    EXPECT_EQ(attention["weights"].size(), 4U);
    expect_weights(attention, [](int s, int t) { return t <= s; });
  }
  EXPECT_EQ(found["answers"][0]["text"], "36");
}

TEST_F(Explain, ReadsATextAsTheModelDoes) {
  std::filesystem::create_directories(path("t"));
  std::string text;
  for (int i = 0; i < 60; ++i) text += "one two\nthree ";
  write("t/a", text);
  write("t/b", text);
  ASSERT_EQ(run({"train", "text", "--data", "t", "--out", "r", "--features", "8", "--layers", "2",
                 "--heads", "2", "--context", "100", "--minutes", "0", "--steps", "2"})
                .code,
            0);
  const std::string out = explained({"r", "a b\xc3\xa4"}, in_locale("C"));
  EXPECT_THAT(out, HasSubstr("token     ^a_b??\n"));
  EXPECT_THAT(out, HasSubstr("_ is a space, ? is a token that is no character\n"));
  EXPECT_THAT(out, HasSubstr("next byte\n"));
  const json found = numbers("r", "a b\xc3\xa4");
  EXPECT_EQ(found["tokens"],
            (std::vector<std::string>{"start", "a", "space", "b", "\\xc3", "\\xa4"}));
  EXPECT_EQ(found["answers"].size(), 10U);
  const std::string plain = explained({"r", "a b"}, in_locale("C"));
  EXPECT_THAT(plain, HasSubstr("token     ^a_b\n"));
  EXPECT_THAT(plain, HasSubstr("\n^ is the start of a document, _ is a space\n"));
  EXPECT_THAT(plain, HasSubstr("what position 3 'b' attends to"));
  EXPECT_THAT(plain, HasSubstr("This position tells the next byte.\n"));
  EXPECT_THAT(explained({"r", "a b"}, in_locale("C.UTF-8")), HasSubstr("token     ⊢a␣b\n"));
  EXPECT_THAT(explained({"r", "a b", "--position", "0"}),
              HasSubstr("what position 0 start attends to"));
  // More than a line holds: the last positions are drawn.
  const std::string longer = explained({"r", std::string(300, 'x'), "--layer", "0", "--head", "1"});
  EXPECT_THAT(longer,
              ContainsRegex("100 positions, all of which exist\\. The model reads no more: it "
                            "leaves out[ \n]the[ \n]200[ \n]tokens before them\\.\n"));
  EXPECT_THAT(longer, HasSubstr("the last 74 of 100 keys\n"));
  EXPECT_LE(widest_line(longer), 80U);
  EXPECT_THAT(longer, HasSubstr("\nNot all 100 positions fit here: --out draws all.\n"));
}

TEST_F(Explain, SaysWhatTheModelDoesNotReadAndWhatIsNotShown) {
  std::filesystem::create_directories(path("t"));
  for (const char* file : {"t/a", "t/b"}) write(file, std::string(800, 'x'));
  ASSERT_EQ(run({"train", "text", "--data", "t", "--out", "r", "--features", "8", "--layers", "1",
                 "--heads", "1", "--context", "140", "--minutes", "0", "--steps", "1"})
                .code,
            0);
  const std::string long_one = explained({"r", std::string(300, 'x')});
  EXPECT_THAT(long_one, HasSubstr("\n... and 60 more characters; --out shows all\n"));
  EXPECT_THAT(long_one, ContainsRegex("leaves out[ \n]the[ \n]160[ \n]tokens"));
  EXPECT_THAT(long_one, HasSubstr("Not all 140 positions fit here: --out draws 128 of them"));
  const std::string short_one = explained({"r", std::string(140, 'x')});
  EXPECT_THAT(short_one, Not(HasSubstr("leaves out")));
  EXPECT_THAT(short_one, Not(HasSubstr("more characters")));
  explained({"r", std::string(300, 'x'), "--out", "p.html"});
  EXPECT_THAT(read("p.html"), HasSubstr(std::string(300, 'x') + "</code>"));
  EXPECT_THAT(read("p.html"), HasSubstr("it leaves out the 160 tokens before them."));
  EXPECT_THAT(read("p.html"),
              HasSubstr("Of 140 positions a mask is drawn for the first 128, and weights for the "
                        "last 128."));
}

TEST_F(Explain, FitsNarrowTerminals) {
  if (!test::has_terminals()) GTEST_SKIP() << "no terminals here";
  train_with("key");
  const std::vector<std::string> all_heads = {"--layer", "1"};
  const std::pair<std::string, std::vector<std::string>> calls[] = {
      {"key", {}}, {arithmetic_, {}}, {arithmetic_, all_heads}};
  for (const int columns : {1, 9, 32, 33, 40, 59, 61}) {
    for (const auto& [model, more] : calls) {
      std::vector<std::string> args = {model, kQuestion};
      args.insert(args.end(), more.begin(), more.end());
      test::CliOptions look = in_locale("C.UTF-8", columns);
      look.environment.push_back("NO_COLOR=1");
      std::string out = explained(args, look);
      std::erase(out, '\r');
      EXPECT_LE(widest_line(out), static_cast<std::size_t>(std::max(columns, 32))) << out;
      EXPECT_THAT(out, HasSubstr(model == "key" ? "\nlayer 0 reflect" : "\nlayer 0 decoder.block0"))
          << "a paragraph has the name of its layer";
    }
  }
}

TEST_F(Explain, FitsItsTerminalAndDrawsAsciiWhereTheLocaleSaysSo) {
  train_with("key");
  for (const std::string& model : {std::string("key"), arithmetic_}) {
    const std::string plain = explained({model, kQuestion}, in_locale("C"));
    EXPECT_LE(widest_line(plain), 80U) << plain;
    EXPECT_TRUE(
        std::ranges::all_of(plain, [](char c) { return c == '\n' || (c >= 32 && c < 127); }));
    const std::string shaded = explained({model, kQuestion}, in_locale("C.UTF-8"));
    EXPECT_LE(widest_line(shaded), 80U);
    EXPECT_THAT(shaded, HasSubstr("█ above"));
    EXPECT_THAT(shaded, Not(HasSubstr("\x1b"))) << "a pipe gets no colours";
    if (!test::has_terminals()) continue;
    const std::string colored = explained({model, kQuestion}, in_locale("C.UTF-8", 80));
    EXPECT_THAT(colored, HasSubstr("\x1b[36m"));
    test::CliOptions no_color = in_locale("C.UTF-8", 80);
    no_color.environment.push_back("NO_COLOR=1");
    EXPECT_THAT(explained({model, kQuestion}, no_color), Not(HasSubstr("\x1b")));
  }
}

TEST_F(Explain, WritesAPageWithAllLayersAndHeads) {
  EXPECT_EQ(explained({arithmetic_, kQuestion, "--out", "page.html"}), "page.html\n");
  const std::string page = read("page.html");
  EXPECT_EQ(test::MarkupReader(page).fault(), "");
  EXPECT_THAT(page, HasSubstr("<title>arithmetic: x=-12,y=24:y-x</title>"));
  EXPECT_THAT(page, HasSubstr(">Layer 2, head 3</text>"));
  EXPECT_THAT(page, HasSubstr("<code>36</code>"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  explained({arithmetic_, kQuestion, "--out", "page.html"});  // again
  EXPECT_EQ(read("page.html"), page);
  write("mine.html", "<p>my notes</p>");
  expect_error(run({"explain", arithmetic_, kQuestion, "--out", "mine.html"}), 1,
               "'mine.html' is there already, and is no page: name another file");
}

TEST_F(Explain, StandsInTheReportOfARun) {
  for (const char* mask : {"key", "none"}) train_with(mask);
  ASSERT_EQ(run({"report", "key", "none", "--out", "r.html"}).code, 0);
  const std::string page = read("r.html");
  EXPECT_EQ(test::MarkupReader(page).fault(), "");
  EXPECT_THAT(page, HasSubstr("<h2>One input, explained</h2>"));
  EXPECT_THAT(page, HasSubstr("<p><code>x=-12,y=24:y-x</code></p>"));
  EXPECT_THAT(page, HasSubstr("Padding gets no weight."));
  EXPECT_THAT(page, ContainsRegex("Padding gets [1-9][0-9.]* % of the weight"));
}

TEST_F(Explain, RefusesWhatPredictRefuses) {
  train_with("key");
  for (const std::string& text : {std::string("what?"), std::string("x=1,y=2"),
                                  std::string("x=1,y=2:x+y+y+y+y+y+y"), std::string("x=\xff")}) {
    const auto predicted = run({"predict", "key", text});
    const auto result = run({"explain", "key", text, "--out", "p.html"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, predicted.err);
    EXPECT_FALSE(exists("p.html"));
  }
  expect_error(run({"explain", "key", ""}), 2, "usage: the text is empty");
  expect_error(run({"explain", "key"}), 2, "TEXT is required");
  expect_error(run({"explain", "none", kQuestion}), 1, "'none' is no run folder");
}

TEST_F(Explain, RefusesLayersHeadsAndPositionsThatAreNotThere) {
  train_with("key");
  const auto refuse = [&](const std::vector<std::string>& more, const char* text) {
    std::vector<std::string> args = {"explain", "key", kQuestion};
    args.insert(args.end(), more.begin(), more.end());
    expect_error(run(args), 2, text);
  };
  refuse({"--layer", "1"}, "usage: --layer must be 0 to 0, not 1");
  refuse({"--head", "-1"}, "usage: --head must be 0 to 0, not -1");
  refuse({"--position", "20"}, "usage: --position must be 0 to 19, not 20");
  refuse({"--layer", "x"}, "--layer must be a whole number, not 'x'");
  refuse({"--layer", "0", "--position", "1"},
         "usage: --position tells of all layers and heads, and does not go with --layer or --head");
  refuse({"--out", "key/model.safetensors"}, "explain");
  refuse({"--out", "one", "--json", "one"}, "usage: --out and --json name one file");
}

}  // namespace
}  // namespace maskgrad
