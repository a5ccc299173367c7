// Runs that are killed at any moment go on, and come to what the undisturbed run comes to.
#include "guards/tiny_run.hpp"

namespace maskgrad {
namespace {

using std::chrono::microseconds;

constexpr int kSlices = 4;  // tests of their own, so that they run at the same time
constexpr int kEpochs = 8;

class Kills : public test::TinyRun, public ::testing::WithParamInterface<int> {
 protected:
  // Starts the program and kills it within the time that a run takes. True if it was in time.
  bool kill_within(const std::vector<std::string>& args, microseconds time, std::mt19937& random) {
    const microseconds delay(static_cast<std::int64_t>(random()) % time.count());
    test::CliProcess training = start(args);
    std::this_thread::sleep_for(delay);
    training.signal(SIGKILL);
    return training.wait().code == 128 + SIGKILL;
  }
};

TEST_P(Kills, ARunThatIsKilledAtAnyMomentGoesOnToTheSameEnd) {
  const auto before = std::chrono::steady_clock::now();
  const test::RunEnd expected = undisturbed(kEpochs);
  const auto time =
      std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - before);
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const int count = test::tries("MASKGRAD_KILLS", 30);
  int killed = 0, tried = 0;
  for (int i = GetParam(); i < count; i += kSlices, ++tried) {
    SCOPED_TRACE("kill " + std::to_string(i));
    clear();
    killed += kill_within(new_run(kEpochs), time, random);
    if (i % 3 == 0) kill_within(resumed_run(kEpochs), time, random);
    const test::CliResult result = go_on(kEpochs);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(end().differences(expected), "");
    EXPECT_EQ(leftovers(), "");
    EXPECT_EQ(run({"report", "w/r"}).code, 0);
  }
  RecordProperty("killed", killed);
  EXPECT_GE(killed, tried / 4) << "most runs ended before they were killed";
}

INSTANTIATE_TEST_SUITE_P(All, Kills, ::testing::Range(0, kSlices));

}  // namespace
}  // namespace maskgrad
