// Standard streams that are closed, full, slow or gone; and other signals of the system.
#include <fmt/format.h>
#include <sys/socket.h>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Streams : public test::CliTest {
 protected:
  // A shell command in the test's folder, `maskgrad` being the program. Returns what it printed,
  // with its exit code on the last line.
  std::string shell(const std::string& command) {
    const std::string script =
        fmt::format("cd '{}'; maskgrad() {{ '{}' \"$@\"; }}; exec 2>&1; {}; echo \"code $?\"",
                    path("").string(), test::program_path(), command);
    FILE* const pipe = ::popen(("timeout 60 bash -c " + quoted(script)).c_str(), "r");
    std::string text;
    char buffer[4096];
    for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      text.append(buffer, got);
    }
    ::pclose(pipe);
    return text;
  }

 private:
  static std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
  }
};

// 2>&1 >results: messages go into the pipe.
TEST_F(Streams, AReaderOfMessagesThatLeavesEndsNoRun) {
  ASSERT_EQ(train({"--out", "quiet", "--epochs", "8"}).code, 0);
  const std::string text = shell(
      "(maskgrad train blog --data d --out r --epochs 8 2>&1 >results; echo $? >status) "
      "| head -n 2; cat status");
  EXPECT_EQ(text,
            "layer    kind     output       parameters  mask\n"
            "-------  -------  -----------  ----------  -----\n"
            "0\ncode 0\n");
  EXPECT_THAT(read("results"), HasSubstr("progress   not shown to its end: Broken pipe\n"));
  EXPECT_TRUE(read("r/model.safetensors") == read("quiet/model.safetensors"));
}

TEST_F(Streams, AReaderOfResultsThatLeavesIsToldOfWhenAllIsSaved) {
  const std::string text = shell(
      "(sleep 0.2; maskgrad train blog --data d --out r --epochs 2 --progress off; echo $? "
      ">status) "
      "| true; cat status");
  EXPECT_EQ(text, "maskgrad: stdout: cannot write the results: Broken pipe\n1\ncode 0\n");
  EXPECT_TRUE(exists("r/model.safetensors"));
  EXPECT_TRUE(exists("r/report.html"));
}

TEST_F(Streams, AReaderWhoHasSeenEnoughEndsOtherCommandsSilently) {
  EXPECT_EQ(shell("(sleep 0.2; maskgrad ops; echo $? >status) | true; cat status"),
            "141\ncode 0\n");
}

TEST_F(Streams, ClosedOnesAreNoneOfTheFilesThatARunWrites) {
  EXPECT_EQ(shell("maskgrad train blog --data d --out a --steps 3 >&- 2>&- <&-"), "code 1\n");
  EXPECT_TRUE(exists("a/model.safetensors"));
  EXPECT_EQ(shell("maskgrad train blog --data d --out b --steps 3 --progress off >/dev/null 2>&-"),
            "code 0\n");
  EXPECT_TRUE(read("a/model.safetensors") == read("b/model.safetensors"));
  EXPECT_THAT(shell("maskgrad eval a >&-"), HasSubstr("stdout: cannot write the results"));
  EXPECT_EQ(shell("maskgrad predict a <&-"), "code 0\n") << "nothing was asked";
}

TEST_F(Streams, ThatAreFullAreAnError) {
  for (const char* command : {"--help", "--version", "ops", "train blog --help"}) {
    EXPECT_EQ(shell(fmt::format("maskgrad {} >/dev/full", command)),
              "maskgrad: stdout: cannot write the results: No space left on device\ncode 1\n");
  }
}

// A limit on the size of files kills by SIGXFSZ where nobody looks.
TEST_F(Streams, ALimitOnFilesIsAnError) {
  const auto result = train({"--out", "r"}, {.file_limit = 100000});
  expect_error(result, 1, "File too large");
  EXPECT_FALSE(exists("r"));
}

TEST_F(Streams, ThatTakeNothingAtTheMomentAreWaitedFor) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3"}).code, 0);
  const std::string expected = run({"ops"}).out;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  const int small = 1;
  ::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  auto process = start({"ops"}, {.out_descriptor = ends[1]});
  ::close(ends[1]);
  std::string text;
  for (;;) {
    char c;
    const ssize_t got = ::read(ends[0], &c, 1);
    if (got == 0) break;
    if (got == 1) text += c;
  }
  EXPECT_EQ(process.wait().code, 0);
  EXPECT_EQ(text, expected);
  ::close(ends[0]);
}

TEST_F(Streams, LinesMayEndAsTheyLikeButNotBeWithoutEnd) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3"}).code, 0);
  const auto result = run({"predict", "r"}, {.input = "x=1,y=2:x+y\r\n\nx=1,y=2:x+y"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3) << "one without its end";
  EXPECT_EQ(shell("maskgrad predict r </dev/zero"),
            "error: stdin: the line has more than 1048576 bytes\n"
            "maskgrad: stdin: line 1 has no end within 268435456 bytes\ncode 1\n");
}

TEST_F(Streams, AnInputThatCannotBeReadIsAnError) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3"}).code, 0);
  EXPECT_EQ(shell("maskgrad predict r <d"),
            "maskgrad: stdin: cannot read it: Is a directory\ncode 1\n");
}

TEST_F(Streams, AnInterruptThatWasIgnoredFromTheStartStaysSo) {
  const std::string text = shell(
      "trap '' INT HUP; maskgrad train blog --data d --out r --epochs 9 --progress off & "
      "sleep 0.1; kill -INT $!; kill -HUP $!; wait $!");
  EXPECT_THAT(text, AllOf(HasSubstr("report     r/report.html\n"), Not(HasSubstr("interrupted"))));
}

}  // namespace
}  // namespace maskgrad
