#include <atomic>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/mapped_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/limited_memory.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::ScratchFolder;
using ::testing::HasSubstr;

constexpr std::size_t kLarge = 3 * MappedFile::kMapped + 17;

std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 256);
  return bytes;
}

fs::path written(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string read(const MappedFile& file, std::size_t offset, std::size_t count) {
  std::string out(count, '?');
  file.read(offset, out);
  return out;
}

// How often the file is opened and closed meanwhile; -1 where the system does not tell.
template <class F>
int count_opens(const fs::path& path, F f) {
  const int events = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (events < 0 || ::inotify_add_watch(events, path.c_str(), IN_OPEN | IN_CLOSE) < 0) return -1;
  f();
  alignas(inotify_event) char buffer[4096];
  const ssize_t got = ::read(events, buffer, sizeof buffer);
  ::close(events);
  constexpr auto kTwo = static_cast<ssize_t>(2 * sizeof(inotify_event));
  return got < 0 ? 0 : static_cast<int>(got / kTwo);
}

TEST(MappedFile, OpensTheFileOnceWhateverTheSize) {
  const ScratchFolder folder;
  for (const std::size_t size : {std::size_t{10}, kLarge}) {
    const fs::path path = written(folder / "f", some_bytes(size));
    const int opens = count_opens(path, [&] { const MappedFile file(path); });
    if (opens < 0) GTEST_SKIP() << "this system watches no files";
    EXPECT_EQ(opens, 1) << size;
  }
}

TEST(MappedFile, ReadsTheSameAsTheFileAtAnyPlaceWhateverTheSize) {
  const ScratchFolder folder;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{MappedFile::kMapped},
        std::size_t{MappedFile::kMapped} + 1, kLarge}) {
    const std::string bytes = some_bytes(size);
    const MappedFile file(written(folder / "f", bytes));
    ASSERT_EQ(file.size(), size);
    EXPECT_EQ(read(file, 0, size), bytes);
    for (std::size_t at = 0; at <= size; at += 1021) {
      const std::size_t count = std::min<std::size_t>(5000, size - at);
      ASSERT_EQ(read(file, at, count), bytes.substr(at, count)) << at << " of " << size;
    }
    EXPECT_EQ(read(file, size, 0), "");
  }
}

TEST(MappedFile, RefusesBytesThatTheFileDidNotHave) {
  const ScratchFolder folder;
  for (const std::size_t size : {std::size_t{5}, kLarge}) {
    const MappedFile file(written(folder / "f", some_bytes(size)));
    EXPECT_EQ(error_of([&] { read(file, size - 2, 3); }),
              fmt::format("[file] cannot read 3 bytes of '{}' from byte {} on: it has {}",
                          file.path().string(), size - 2, size));
    EXPECT_THAT(error_of([&] { read(file, size + 1, 0); }), HasSubstr("cannot read 0 bytes"));
    EXPECT_THAT(error_of([&] { read(file, SIZE_MAX, 2); }), HasSubstr("cannot read 2 bytes"));
  }
}

TEST(MappedFile, SaysThatAFileBecameShorter) {
  const ScratchFolder folder;
  const std::string bytes = some_bytes(kLarge);
  const MappedFile file(written(folder / "f", bytes));
  const MappedFile small(written(folder / "g", "small"));
  fs::resize_file(folder / "f", 8192);
  fs::resize_file(folder / "g", 0);
  EXPECT_EQ(read(file, 0, 8192), bytes.substr(0, 8192)) << "the pages that are left";
  const std::string want =
      "[file] cannot read '" + file.path().string() +
      "' at byte 8192: it became shorter since it was opened, or the disk failed";
  EXPECT_EQ(error_of([&] { read(file, 8192, 1); }), want);
  EXPECT_EQ(error_of([&] { read(file, 8000, 400); }), want);
  EXPECT_THAT(error_of([&] { read(file, kLarge - 1, 1); }), HasSubstr("it became shorter"));
  EXPECT_EQ(read(small, 0, 5), "small") << "it was read at once";
}

TEST(MappedFile, StaysReadableWhenTheFileIsRemovedOrReplaced) {
  const ScratchFolder folder;
  const std::string bytes = some_bytes(kLarge);
  const MappedFile removed(written(folder / "f", bytes)), replaced(written(folder / "g", bytes));
  fs::remove(folder / "f");
  written(folder / "h", "new");
  fs::rename(folder / "h", folder / "g");
  EXPECT_EQ(read(removed, 0, kLarge), bytes);
  EXPECT_EQ(read(replaced, 0, kLarge), bytes);
}

TEST(MappedFile, KeepsNoDescriptorAndCanBeMoved) {
  const ScratchFolder folder;
  const auto open_now = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_now();
  const std::string bytes = some_bytes(kLarge);
  std::vector<MappedFile> files;
  for (int i = 0; i < 20; ++i) files.emplace_back(written(folder / "f", bytes));
  for (int i = 0; i < 20; ++i) files.emplace_back(written(folder / "g", "small"));
  EXPECT_EQ(open_now(), before);
  EXPECT_EQ(read(files.front(), 70000, 10), bytes.substr(70000, 10));
  EXPECT_EQ(read(files.back(), 1, 3), "mal");
}

TEST(MappedFile, OpensRegularFilesOnly) {
  const ScratchFolder folder;
  const auto error = [](const fs::path& path) { return error_of([&] { MappedFile file(path); }); };
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("loop", folder / "loop");
  EXPECT_THAT(error(folder / "pipe"), HasSubstr("': it is no regular file"));
  EXPECT_EQ(error("/dev/zero"), "[file] cannot read '/dev/zero': it is no regular file");
  EXPECT_THAT(error(folder.path()), HasSubstr("': Is a directory"));
  EXPECT_THAT(error(folder / "none"), HasSubstr("': No such file or directory"));
  EXPECT_THAT(error(folder / "loop"), HasSubstr("': Too many levels of symbolic links"));
  EXPECT_THAT(error(folder.path() / std::string(300, 'x')), HasSubstr("': File name too long"));
}

TEST(MappedFile, SaysThatAFileIsMoreThanAddressesReach) {
  if (!test::kCanLimitMemory) GTEST_SKIP() << "a sanitizer takes all addresses";
  const ScratchFolder folder;
  written(folder / "f", "x");
  fs::resize_file(folder / "f", std::uintmax_t{1} << 32);  // nothing but a hole
  EXPECT_NO_THROW(MappedFile(folder / "f")) << "it takes no memory";
  const test::LimitedMemory limit(1 << 28);
  EXPECT_EQ(error_of([&] { MappedFile file(folder / "f"); }),
            "[file] cannot map '" + (folder / "f").string() + "': Cannot allocate memory");
}

// From here on the call fails in this process, as in some containers.
bool forbid_process_vm_readv() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(MappedFile, ReadsWhereASandboxForbidsTheSafeCopy) {
  constexpr int kRight = 0, kWrong = 1, kNoSandbox = 2;
  const ScratchFolder folder;
  const std::string bytes = some_bytes(kLarge);
  const MappedFile file(written(folder / "f", bytes));
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_process_vm_readv()) ::_exit(kNoSandbox);
    ::_exit(read(file, 100, 150000) == bytes.substr(100, 150000) ? kRight : kWrong);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoSandbox) GTEST_SKIP() << "the system has no sandbox";
  EXPECT_EQ(WEXITSTATUS(status), kRight);
}

TEST(MappedFile, CanBeReadByManyThreads) {
  const ScratchFolder folder;
  const std::string bytes = some_bytes(kLarge);
  const MappedFile file(written(folder / "f", bytes));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t at = t; at + 500 < kLarge; at += 997) {
        if (read(file, at, 500) != bytes.substr(at, 500)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace maskgrad
