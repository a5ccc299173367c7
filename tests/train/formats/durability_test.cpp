// Files are there whole or not at all, whichever system call fails, is cut short, is interrupted or
// is the process's last.
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>

#include "support/files.hpp"
#include "train/formats/faults.hpp"

namespace maskgrad {
namespace {

using test::Fault;
using test::Outcome;
using test::ScratchFolder;
using test::with_fault;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kOld = "old content";
const std::string kNew(200'000, 'n');  // longer than a buffer: it is written in several calls

// Calls visit(n) for n = 1, 2, ... as long as it returns true. Returns how often.
template <class F>
int for_each_call(F visit) {
  int calls = 0;
  while (visit(calls + 1)) ++calls;
  return calls;
}

std::string content(const std::filesystem::path& path) {
  return std::filesystem::exists(path) ? read_file(path) : "";
}

TEST(Durability, AFileThatCannotBeReplacedStaysAsItWasAndLeavesNothingBeside) {
  for (const Fault fault : {Fault::kRefused, Fault::kRefusedForGood}) {
    for (const std::string& old : {kOld, std::string()}) {
      const int calls = for_each_call([&](int n) {
        const ScratchFolder folder;
        if (!old.empty()) write_file(folder / "f", old);
        const auto [error, was_reached] =
            with_fault(fault, n, [&] { write_file(folder / "f", kNew); });
        const std::string now = content(folder / "f");
        // Only the folder's own flush comes after the new name.
        const bool is_new = error == "no error" || error.find("folder") != std::string::npos;
        EXPECT_EQ(now, is_new ? kNew : old) << n;
        if (error != "no error") {
          EXPECT_THAT(error, HasSubstr(folder.path().string()));
        }
        EXPECT_THAT(error, Not(HasSubstr(".tmp."))) << n;
        EXPECT_EQ(folder.count(), now.empty() ? 0 : 1) << n << ": " << error;
        return was_reached;
      });
      EXPECT_GE(calls, 8) << "open, two writes, fsync, close, rename, the folder";
    }
  }
}

TEST(Durability, AWriteThatIsInterruptedOrShortGoesOn) {
  for (const Fault fault : {Fault::kInterrupted, Fault::kShort}) {
    const int calls = for_each_call([&](int n) {
      const ScratchFolder folder;
      write_file(folder / "f", kOld);
      const auto [error, was_reached] =
          with_fault(fault, n, [&] { write_file(folder / "f", kNew); });
      EXPECT_EQ(error, "no error") << n;
      EXPECT_EQ(content(folder / "f"), kNew) << n;
      return was_reached;
    });
    EXPECT_GE(calls, 1);
  }
}

TEST(Durability, AProcessThatDiesLeavesTheOldFileOrTheNewOne) {
  const int calls = for_each_call([&](int n) {
    const ScratchFolder folder;
    write_file(folder / "f", kOld);
    const pid_t child = ::fork();
    if (child == 0) {
      with_fault(Fault::kDeath, n, [&] { write_file(folder / "f", kNew); });
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const std::string now = content(folder / "f");
    EXPECT_TRUE(now == kOld || now == kNew) << n << ": " << now.size() << " bytes";
    remove_dead_temporaries(folder.path(), [](const std::string& name) { return name == "f"; });
    EXPECT_EQ(folder.count(), 1) << n;
    return WIFEXITED(status) && WEXITSTATUS(status) == 9;
  });
  EXPECT_GE(calls, 8);
}

// Pieces are flushed one by one, and a fault strikes one of them.
TEST(Durability, ALogHoldsThePiecesThatWereWrittenWholeAndInOrder) {
  for (const Fault fault :
       {Fault::kRefused, Fault::kRefusedForGood, Fault::kInterrupted, Fault::kShort}) {
    for_each_call([&](int n) {
      const ScratchFolder folder;
      OutputFile log(folder / "log", OutputFile::Mode::kNew);
      std::string want;
      const Outcome outcome = with_fault(fault, n, [&] {
        for (const char letter : {'a', 'b', 'c'}) {
          const std::string piece(1000, letter);
          log.write(piece);
          try {
            log.flush();
            want += piece;
          } catch (const Error&) {
            continue;  // the next piece may fit
          }
        }
      });
      EXPECT_EQ(outcome.error, "no error");
      EXPECT_EQ(read_file(folder / "log"), want) << n;
      const bool is_harmless = fault == Fault::kInterrupted || fault == Fault::kShort;
      if (is_harmless || !outcome.was_reached) {
        EXPECT_EQ(want.size(), 3000U) << n;
      }
      return outcome.was_reached;
    });
  }
}

// The call after a failed write is the one that takes back what the write left.
TEST(Durability, ALogWithATornEndThatCannotBeTakenBackTakesNoMore) {
  const ScratchFolder folder;
  OutputFile log(folder / "log", OutputFile::Mode::kNew);
  log.write("one");
  const std::string full =
      "[file] cannot write '" + (folder / "log").string() + "': No space left on device";
  EXPECT_EQ(with_fault(Fault::kRefusedForGood, 1, [&] { log.flush(); }).error, full);
  log.write("two");
  EXPECT_EQ(test::error_of([&] { log.flush(); }), full) << "though the disk has room again";
  EXPECT_EQ(read_file(folder / "log"), "");
}

}  // namespace
}  // namespace maskgrad
