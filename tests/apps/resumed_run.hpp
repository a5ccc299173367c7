// Runs that go on.
#pragma once

#include <regex>

#include "support/cli.hpp"

namespace maskgrad::test {

class ResumedRun : public CliTest {
 protected:
  CliResult resume(const std::string& run_folder, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"train",    "blog",       "--out", run_folder,
                                     "--resume", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // A run of two epochs of 40 steps in `r`.
  void train_two_epochs() { ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0); }
  void make_data(const std::string& folder, const std::string& samples, const std::string& seed,
                 const std::string& shards = "2") {
    ASSERT_EQ(run({"data", "arithmetic", "--out", folder, "--shards", shards, "--samples", samples,
                   "--seed", seed})
                  .code,
              0);
  }
  // A run of nine steps, whose data lie in its folder.
  void train_beside_its_data(const std::string& folder) {
    make_data(folder + "/shards", "40", "3");
    const auto result = run({"train", "blog", "--out", folder, "--data", folder + "/shards",
                             "--steps", "9", "--progress", "off"});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  // Changes a line of a run's config.toml as a person does.
  void edit(const std::string& from, const std::string& to) {
    const std::string text = read("r/config.toml");
    ASSERT_THAT(text, ::testing::HasSubstr(from));
    write("r/config.toml", std::regex_replace(text, std::regex(from), to));
  }
  std::string setting(const std::string& key) {
    std::smatch match;
    const std::string text = read("r/config.toml");
    return std::regex_search(text, match, std::regex("(?:^|\n)" + key + " = (\\S+)"))
               ? match[1].str()
               : "none";
  }
};

}  // namespace maskgrad::test
