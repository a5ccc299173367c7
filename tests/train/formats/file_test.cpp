#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using ::testing::HasSubstr;

TEST(File, ReadsBackWhatWasWrittenWhateverTheSize) {
  const ScratchFolder folder;
  for (const std::size_t size : std::vector<std::size_t>{0, 1, 65535, 65536, 65537, 200000}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 256);
    write_file(folder / "f", bytes);
    EXPECT_EQ(read_file(folder / "f"), bytes);
    InputFile file(folder / "f");
    EXPECT_EQ(file.size(), size);
  }
}

TEST(File, ReadsRegularFilesOnlyAndWaitsForNoWriter) {
  const ScratchFolder folder;
  const auto pipe = folder / "pipe", link = folder / "link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", link);
  for (const std::filesystem::path& path : {std::filesystem::path("/dev/zero"), pipe, link}) {
    const std::string want = "[file] cannot read '" + path.string() + "': it is no regular file";
    EXPECT_EQ(error_of([&] { read_file(path); }), want);
    EXPECT_EQ(error_of([&] { InputFile file(path); }), want);
  }
}

TEST(File, WritesToPipesButWaitsForNoReader) {
  const ScratchFolder folder;
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { OutputFile file(pipe, OutputFile::Mode::kTruncate); }),
            "[file] cannot write '" + pipe.string() + "': nobody reads from it");
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  OutputFile file(pipe, OutputFile::Mode::kTruncate);
  file.write("hello");
  file.flush();
  char got[8] = {};
  EXPECT_EQ(::read(reader, got, sizeof got), 5);
  EXPECT_STREQ(got, "hello");
  ::close(reader);
}

TEST(File, ReadsNoMoreThanItIsAskedTo) {
  const ScratchFolder folder;
  write_file(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", 5), "12345");
  EXPECT_EQ(error_of([&] { read_file(folder / "f", 4); }),
            "[file] cannot read '" + (folder / "f").string() + "': it has more than 4 bytes");
  std::filesystem::resize_file(folder / "f", std::uintmax_t{1} << 40);  // nothing but a hole
  EXPECT_THAT(error_of([&] { read_file(folder / "f", 1 << 20); }), HasSubstr("more than 1048576"));
}

TEST(File, SaysWhichFileCannotBeReadAndWhy) {
  const ScratchFolder folder;
  const std::string missing = (folder / "none").string();
  EXPECT_EQ(error_of([&] { read_file(missing); }),
            "[file] cannot open '" + missing + "': No such file or directory");
  EXPECT_EQ(error_of([&] { read_file(folder.path()); }),
            "[file] cannot read '" + folder.path().string() + "': Is a directory");
}

TEST(File, ReportsAFullDiskOnFlushOnSyncAndOnClose) {
  const std::string want = "[file] cannot write '/dev/full': No space left on device";
  OutputFile flushed("/dev/full", OutputFile::Mode::kTruncate);
  flushed.write("x");
  EXPECT_EQ(error_of([&] { flushed.flush(); }), want);
  OutputFile synced("/dev/full", OutputFile::Mode::kTruncate);
  synced.write("x");
  EXPECT_EQ(error_of([&] { synced.sync(); }), want);
  OutputFile closed("/dev/full", OutputFile::Mode::kTruncate);
  closed.write("x");
  EXPECT_EQ(error_of([&] { closed.close(); }), want);
  OutputFile large("/dev/full", OutputFile::Mode::kTruncate);
  EXPECT_EQ(error_of([&] { large.write(std::string(1 << 20, 'x')); }), want);
}

/// While it lives, no file may grow beyond `bytes`: what a disk that fills up does to a write.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
  sighandler_t handler_;
};

TEST(File, TakesBackAFlushThatOnlyFitsInPart) {
  const ScratchFolder folder;
  const FileSizeLimit limit(100);
  OutputFile file(folder / "f", OutputFile::Mode::kNew);
  file.write(std::string(70, 'a'));
  file.flush();
  file.write(std::string(70, 'b'));
  EXPECT_EQ(error_of([&] { file.flush(); }),
            "[file] cannot write '" + (folder / "f").string() + "': File too large");
  EXPECT_EQ(read_file(folder / "f"), std::string(70, 'a'));
  file.write("c");
  file.close();
  EXPECT_EQ(read_file(folder / "f"), std::string(70, 'a') + "c") << "no hole is left";
}

TEST(File, AppendsToWhatIsThere) {
  const ScratchFolder folder;
  write_file(folder / "f", "old ");
  OutputFile(folder / "f", OutputFile::Mode::kAppend).write("new");
  EXPECT_EQ(read_file(folder / "f"), "old new");
  EXPECT_EQ(error_of([&] { OutputFile(folder / "none", OutputFile::Mode::kAppend); }),
            "[file] cannot open '" + (folder / "none").string() + "': No such file or directory");
}

TEST(AtomicFile, LeavesTheOldContentAndNoTemporaryWhenTheDiskFillsUp) {
  const ScratchFolder folder;
  write_file(folder / "f", "old");
  const FileSizeLimit limit(100);
  EXPECT_EQ(error_of([&] { write_file(folder / "f", std::string(101, 'x')); }),
            "[file] cannot write '" + (folder / "f").string() + "': File too large");
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(folder.count(), 1);
}

TEST(File, RefusesToCreateAFileThatExistsWhenItMustBeNew) {
  const ScratchFolder folder;
  write_file(folder / "f", "kept");
  EXPECT_THAT(error_of([&] { OutputFile file(folder / "f", OutputFile::Mode::kNew); }),
              HasSubstr("File exists"));
  EXPECT_EQ(read_file(folder / "f"), "kept");
}

TEST(AtomicFile, AppearsOnlyOnCommit) {
  const ScratchFolder folder;
  AtomicFile file(folder / "f");
  file.write("new ");
  file.write("content");
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  EXPECT_TRUE(std::filesystem::exists(folder / ("f.tmp." + std::to_string(::getpid())).c_str()));
  file.commit();
  EXPECT_EQ(read_file(folder / "f"), "new content");
  EXPECT_EQ(folder.count(), 1);
}

TEST(AtomicFile, LeavesTheOldContentAndNoTemporaryWithoutCommit) {
  const ScratchFolder folder;
  write_file(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write(std::string(1 << 18, 'x'));
    EXPECT_EQ(read_file(folder / "f"), "old");
  }
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(folder.count(), 1);
}

TEST(AtomicFile, ReplacesATemporaryThatAKilledProcessLeft) {
  const ScratchFolder folder;
  const std::string stale = "f.tmp." + std::to_string(::getpid());
  OutputFile(folder / stale.c_str(), OutputFile::Mode::kNew).write("stale and longer");
  write_file(folder / "f", "fresh");
  EXPECT_EQ(read_file(folder / "f"), "fresh");
  EXPECT_EQ(folder.count(), 1);
}

TEST(AtomicFile, KeepsASymbolicLinkAndReplacesWhatItLeadsTo) {
  const ScratchFolder folder;
  write_file(folder / "real", "old");
  std::filesystem::create_symlink("real", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "real"), "new");
}

TEST(AtomicFile, WritesADeviceDirectlyAndReportsThatItIsFull) {
  write_file("/dev/null", "anything");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(error_of([] { write_file("/dev/full", "anything"); }),
            "[file] cannot write '/dev/full': No space left on device");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(AtomicFile, SaysWhyItCannotBeCreated) {
  const ScratchFolder folder;
  write_file(folder / "file", "");
  EXPECT_THAT(error_of([&] { AtomicFile file(folder.path() / "file" / "f"); }),
              HasSubstr("Not a directory"));
  EXPECT_THAT(error_of([&] { AtomicFile file(folder.path() / "none" / "f"); }),
              HasSubstr("No such file or directory"));
  std::filesystem::create_directory(folder / "sub");
  EXPECT_EQ(error_of([&] { AtomicFile file(folder / "sub"); }),
            "[file] cannot write '" + (folder / "sub").string() + "': Is a directory");
}

TEST(AtomicFile, LeavesNothingWhenTheFinalRenameFails) {
  const ScratchFolder folder;
  {
    AtomicFile file(folder / "f");
    file.write("x");
    std::filesystem::create_directory(folder / "f");  // a folder took the name meanwhile
    EXPECT_THAT(error_of([&] { file.commit(); }), HasSubstr("Is a directory"));
  }
  EXPECT_EQ(folder.count(), 1);
}

}  // namespace
}  // namespace maskgrad
