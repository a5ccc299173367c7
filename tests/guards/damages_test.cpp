// Bits that flip in the files of a run and of its data, and files that are cut: every command that
// reads them says so, or answers as it did before.
#include <cstring>
#include <functional>
#include <map>

#include "guards/tiny_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kSlices = 8;  // tests of their own, so that they run at the same time

// A command, and what it came to.
struct Answer {
  std::string command;
  int code;
  std::string err;
  std::string result;  // its output, and the bytes of the files that it wrote
};

// Timings are not the same twice.
std::string without_times(const std::string& out) {
  std::istringstream lines(out);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("steps ")) text += line + '\n';
  }
  return text;
}

std::string damaged(std::string bytes, std::mt19937& random) {
  const auto place = [&](std::size_t end) { return random() % std::max<std::size_t>(end, 1); };
  const auto kind = random() % 8;
  if (kind < 5) {  // a flip; half of them where a large file has its header
    const std::size_t end =
        random() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 4096) : bytes.size();
    const std::size_t at = place(end);
    bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
    return bytes;
  }
  if (kind < 7) return bytes.substr(0, place(bytes.size()));
  // Whole lines are left, or nothing.
  const std::size_t line = bytes.rfind('\n', place(bytes.size()));
  return bytes.substr(0, line == std::string::npos ? 0 : line + 1);
}

class Damages : public test::TinyRun, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int kDone = 4, kMore = 6;  // epochs

  void SetUp() override {
    TinyRun::SetUp();
    fs::rename(path("d"), path("w/d"));
    ASSERT_EQ(run(train_args({"--data", "w/d", "--val", "w/d", "--epochs", "2"})).code, 0);
    ASSERT_EQ(run(resumed_run(kDone)).code, 0);
    fs::rename(path("w"), path("sound"));
    restore();
    for (const auto& entry : fs::recursive_directory_iterator(path("w"))) {
      const std::string name = entry.path().lexically_relative(path("")).string();
      if (entry.is_regular_file() && !name.ends_with(".html")) files_.push_back(name);
    }
    std::sort(files_.begin(), files_.end());
  }
  void restore() const {
    fs::remove_all(path("w"));
    fs::copy(path("sound"), path("w"), fs::copy_options::recursive);
  }

  Answer ask(const std::vector<std::string>& args, const std::function<std::string()>& written) {
    const test::CliResult result = run(args);
    return {args.front(), result.code, result.err,
            without_times(result.out) + (result.code == 0 ? written() : "")};
  }
  // Of all commands that read files of a run. The last go on with it.
  std::vector<Answer> ask_all(const std::string& file) {
    const auto nothing = [] { return std::string(); };
    std::vector<Answer> answers;
    answers.push_back(ask({"eval", "w/r"}, nothing));
    answers.push_back(ask({"predict", "w/r", "x=1,y=2:x+y", "x=7,y=35:y-x"}, nothing));
    answers.push_back(ask({"check", "w/r"}, nothing));
    answers.push_back(ask({"inspect", "w/r"}, nothing));
    answers.push_back(
        ask({"report", "w/r", "--out", "w/q.html"}, [this] { return read("w/q.html"); }));
    if (!file.ends_with(".csv") && !file.ends_with(".json") && !file.ends_with(".toml"))
      answers.push_back(ask({"inspect", file}, nothing));
    if (file.ends_with(".safetensors")) {
      answers.push_back(ask({"train", "blog", "--data", "w/d", "--init", file, "--epochs", "1",
                             "--out", "w/q", "--progress", "off"},
                            [this] { return read("w/q/model.safetensors"); }));
    }
    answers.push_back(ask(resumed_run(kMore), [this] {
      const test::RunEnd reached = end();
      return reached.model + reached.epochs + reached.steps + reached.config;
    }));
    restore();
    return answers;
  }

  // Only what the user may have meant, or what is for the eye alone, may be other than it was.
  static void expect_told(const std::string& file, const Answer& sound, const Answer& now) {
    if (now.code == sound.code && now.result == sound.result) return;
    const std::string name = fs::path(file).filename().string();
    const auto has = [](const std::string& text, const std::string& part) {
      return text.find(part) != std::string::npos;
    };
    const bool is_config = name == "config.toml";
    const bool is_for_the_eye = now.command == "report" || now.command == "inspect";
    const bool is_told = has(now.err, name) || (is_config && has(now.err + now.result, " -> ")) ||
                         (is_for_the_eye && has(now.result, name) && !has(sound.result, name));
    EXPECT_TRUE(is_told) << now.command << "\ncode " << now.code << ": " << now.err;
    const bool may_be_other = is_config || is_for_the_eye;
    EXPECT_TRUE(now.code == 1 || now.code == 2 || (now.code == 0 && may_be_other))
        << now.command << "\ncode " << now.code << ": " << now.err;
  }

  std::vector<std::string> files_;
};

class EditedSettings : public test::TinyRun {};

TEST_P(Damages, EveryCommandTellsOfThemOrAnswersAsBefore) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 100);
  std::map<std::string, std::vector<Answer>> sound;
  const int count = test::tries("MASKGRAD_DAMAGES", 300);
  for (int i = GetParam(); i < count; i += kSlices) {
    const std::string& file = files_[random() % files_.size()];
    if (!sound.contains(file)) sound[file] = ask_all(file);
    for (const Answer& answer : sound[file])
      ASSERT_EQ(answer.code, 0) << answer.command << answer.err;
    const std::string before = read(file), after = damaged(before, random);
    write(file, after);
    const auto [at, ignored] = std::mismatch(after.begin(), after.end(), before.begin());
    SCOPED_TRACE(
        file + ", " + std::to_string(after.size()) + " of " + std::to_string(before.size()) +
        " bytes, other from " + std::to_string(at - after.begin()) + " on: " +
        ::testing::PrintToString(after.substr(std::size_t(at - after.begin()) / 40 * 40, 80)));
    const std::vector<Answer> answers = ask_all(file);
    for (std::size_t a = 0; a < answers.size(); ++a) expect_told(file, sound[file][a], answers[a]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Damages, ::testing::Range(0, kSlices));

// What a person writes into the settings is no damage. It is shown, and taken or refused.
TEST_F(EditedSettings, AreShown) {
  ASSERT_EQ(run(new_run(2)).code, 0);
  const std::string config = read("w/r/config.toml");
  for (const auto& [key, was, now] : {std::tuple("lr", "0.001", "0.5"),
                                      {"epochs", "2", "3"},
                                      {"steps", "0", "6"},
                                      {"minutes", "0.0", "2.0"},
                                      {"batch_size", "2", "1"},
                                      {"clip_norm", "0.0", "1.5"},
                                      {"optimizer", "'adam'", "'sgd'"},
                                      {"momentum", "0.9", "0.5"},
                                      {"seed", "0", "7"},
                                      {"threads", "1", "2"},
                                      {"shuffle", "true", "false"},
                                      {"tensorboard", "true", "false"},
                                      {"mask", "'key'", "'query'"},
                                      {"dtype", "'float32'", "'float64'"}}) {
    std::string edited = config;
    const std::string line = std::string("\n") + key + " = ";
    edited.replace(edited.find(line + was) + line.size(), std::strlen(was), now);
    ASSERT_NE(edited, config) << key;
    write("w/r/config.toml", edited);
    EXPECT_THAT(run({"inspect", "w/r"}).out,
                HasSubstr(std::string(key) + ": " + was + " -> " + now + "\n"));
    EXPECT_THAT(run({"report", "w/r", "--out", "w/q.html"}).err,
                HasSubstr(std::string(key) + ": " + was + " -> " + now + "\n"));
    const test::CliResult resumed = run(resumed_run(2));
    if (resumed.code == 0) {
      EXPECT_THAT(resumed.err, HasSubstr(std::string(key) + ": " + was + " -> " + now + "\n"));
    } else {
      EXPECT_THAT(resumed.err, HasSubstr(key));
    }
    write("w/r/config.toml", config);
  }
}

}  // namespace
}  // namespace maskgrad
