// Each file call of a run fails, is interrupted, or is where the process dies: nothing is lost by
// it that was there, nothing wrong is left, and the run goes on to the end of the undisturbed one.
#include <maskgrad/train/formats/safetensors.hpp>

#include "guards/tiny_run.hpp"
#include "support/faulty_calls/fault_kinds.hpp"

#ifdef MASKGRAD_FAULTY_CALLS

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::FaultKind;
using ::testing::HasSubstr;

enum class Work { kNewRun, kResume, kReplace };

// As the enumerations number them.
constexpr const char* kKinds[] = {"Refused",      "RefusedForGood", "Interrupted", "Short",
                                  "KilledBefore", "KilledAfter",    "KilledWithin"};
constexpr const char* kWorks[] = {"NewRun", "Resume", "Replace"};

class Faults : public test::TinyRun, public ::testing::WithParamInterface<std::tuple<int, int>> {
 protected:
  static constexpr int kFormer = 1, kEpochs = 2;  // epochs of the run that is there before, of all

  void SetUp() override {
    TinyRun::SetUp();
    expected_ = undisturbed(kEpochs);
    clear();
    if (work() == Work::kResume) {
      ASSERT_EQ(run(new_run(kFormer)).code, 0);
    }
    if (work() == Work::kReplace) {
      auto former = without_step_log(new_run(kFormer));
      former.insert(former.end(), {"--seed", "9"});
      ASSERT_EQ(run(former).code, 0);
      former_ = end();
      expected_.steps = former_.steps;
    }
    fs::rename(path("w"), path("before"));
  }

  FaultKind kind() const { return static_cast<FaultKind>(std::get<0>(GetParam())); }
  Work work() const { return static_cast<Work>(std::get<1>(GetParam())); }
  bool is_killed() const { return kind() >= FaultKind::kKilledBefore; }

  std::vector<std::string> command() const {
    if (work() == Work::kResume) return resumed_run(kEpochs);
    if (work() == Work::kNewRun) return new_run(kEpochs);
    auto args = without_step_log(new_run(kEpochs));
    args.emplace_back("--force");
    return args;
  }
  // It lies outside the run folder, and a new run's takes the place of a former one's at once.
  static std::vector<std::string> without_step_log(std::vector<std::string> args) {
    const auto flag = std::find(args.begin(), args.end(), "--step-log");
    args.erase(flag, flag + 2);
    return args;
  }

  // Does the work with the fault at its `at`-th call; 0: with none.
  test::CliResult with_fault(int at) {
    fs::remove_all(path("w"));
    fs::copy(path("before"), path("w"), fs::copy_options::recursive);
    const std::string fault = std::to_string(static_cast<int>(kind())) + " " + std::to_string(at) +
                              " " + path("w").string() + " " + path("count").string();
    return run(command(), {.environment = {"MASKGRAD_FAULT=" + fault}});
  }

  // The program ends as it should, and what it says is true.
  void expect_told(const test::CliResult& result) {
    if (is_killed()) {
      EXPECT_EQ(result.code, 128 + SIGKILL) << result.err;
    } else if (result.code == 0) {
      EXPECT_EQ(end().differences(expected_), "") << "code 0, and something is missing";
      EXPECT_TRUE(exists("w/r/report.html"));
    } else {
      EXPECT_TRUE(kind() == FaultKind::kRefused || kind() == FaultKind::kRefusedForGood)
          << "what passes by itself is no error: " << result.err;
      EXPECT_TRUE(result.code == 1 || result.code == 2) << result.code << result.err;
      EXPECT_THAT(result.err, ::testing::StartsWith("maskgrad: "));
    }
  }

  void expect_sound_files() const {
    for (const auto& entry : fs::recursive_directory_iterator(path("w"))) {
      if (entry.path().extension() != ".safetensors") continue;
      EXPECT_NO_THROW(SafetensorsFile::open(entry.path())) << entry.path();
    }
  }

  // What the command would have replaced is there as it was, or the new run is.
  void expect_one_of_both() {
    test::CliResult result = run(without_step_log(train_args({"--resume"})));
    if (result.err.find("there is no run in 'w/r'") != std::string::npos) {
      EXPECT_THAT(run(without_step_log(new_run(kEpochs))).err,
                  HasSubstr("'w/r' holds a run already"));
      result = run(without_step_log(train_args({"--resume"})));
    }
    EXPECT_EQ(result.code, 0) << result.err;
    const test::RunEnd found = end();
    EXPECT_TRUE(found.differences(former_).empty() || found.differences(expected_).empty())
        << found.differences(former_) << ";" << found.differences(expected_);
  }

  void expect_goes_on() {
    if (work() == Work::kReplace) expect_one_of_both();
    const test::CliResult result = work() == Work::kReplace ? run(command()) : go_on(kEpochs);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(end().differences(expected_), "");
    EXPECT_EQ(leftovers(), "");
    EXPECT_EQ(run({"report", "w/r"}).code, 0);
  }

  test::RunEnd expected_, former_;
};

TEST_P(Faults, NoCallOfARunLosesAnything) {
  ASSERT_EQ(with_fault(0).code, 0);
  ASSERT_EQ(end().differences(expected_), "");
  const int calls = std::stoi(read("count"));
  ASSERT_GT(calls, 10);
  // Every seventh call, each kind beginning with another, or every single one.
  const int stride = test::is_asked_for("MASKGRAD_FAULTS", "all") ? 1 : 7;
  const int first = 1 + (static_cast<int>(kind()) + 3 * static_cast<int>(work())) % stride;
  int faults = 0;
  for (int at = first; at <= calls; at += stride, ++faults) {
    SCOPED_TRACE("call " + std::to_string(at) + " of " + std::to_string(calls));
    const test::CliResult result = with_fault(at);
    SCOPED_TRACE("code " + std::to_string(result.code) + ": " + result.err);
    expect_told(result);
    expect_sound_files();
    expect_goes_on();
  }
  RecordProperty("faults", faults);
}

INSTANTIATE_TEST_SUITE_P(
    All, Faults,
    ::testing::Combine(::testing::Range(0, static_cast<int>(std::size(kKinds))),
                       ::testing::Range(0, static_cast<int>(std::size(kWorks)))),
    [](const auto& one) {
      return std::string(kKinds[std::get<0>(one.param)]) + kWorks[std::get<1>(one.param)];
    });

}  // namespace
}  // namespace maskgrad

#endif
