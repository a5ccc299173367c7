#include <fstream>

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/temporary_lock.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::ScratchFolder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

bool any_target(const std::string&) { return true; }

TEST(Folder, ListsWhatItHoldsByName) {
  const ScratchFolder folder;
  for (const char* name : {"b", "a", ".c"}) write_file(folder / name, "");
  EXPECT_THAT(list_folder(folder.path()), ElementsAre(folder / ".c", folder / "a", folder / "b"));
  EXPECT_THAT(list_folder(folder / "none"), IsEmpty());
  EXPECT_EQ(error_of([&] { list_folder(folder / "a"); }),
            "[file] cannot read folder '" + (folder / "a").string() + "': Not a directory");
}

TEST(Folder, IsMadeWithThoseAboveIt) {
  const ScratchFolder folder;
  make_folder(folder / "a" / "b");
  make_folder(folder / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b"));
  write_file(folder / "file", "");
  EXPECT_THAT(error_of([&] { make_folder(folder / "file" / "b"); }),
              StartsWith("[file] cannot create folder '"));
}

TEST(DeadTemporaries, AreThoseOfProcessesThatDiedWhileWriting) {
  const ScratchFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(folder / "model");
    file.write(std::string(1 << 20, 'x'));
    ::_exit(0);  // as a kill does, without destructors
  }
  ::waitpid(child, nullptr, 0);
  const fs::path left = folder.path() / fmt::format("model.tmp.{}", child);
  ASSERT_TRUE(fs::exists(left));
  EXPECT_THAT(remove_dead_temporaries(folder.path(),
                                      [](const std::string& name) { return name == "other"; }),
              IsEmpty());
  EXPECT_THAT(remove_dead_temporaries(folder.path(), any_target), ElementsAre(left));
  EXPECT_EQ(folder.count(), 0);
}

TEST(DeadTemporaries, AreNotThoseThatAreBeingWritten) {
  const ScratchFolder folder;
  AtomicFile file(folder / "model");
  file.write("x");
  EXPECT_THAT(remove_dead_temporaries(folder.path(), any_target), IsEmpty());
  EXPECT_THAT(error_of([&] { AtomicFile other(folder / "model"); }),
              ::testing::EndsWith("File exists"))
      << "two writers at once";
  file.commit();
  EXPECT_EQ(read_file(folder / "model"), "x");
}

TEST(DeadTemporaries, AreKnownByTheirNamesAlone) {
  const ScratchFolder folder;
  for (const char* name : {"f.tmp.", "f.tmp.x", "f.tmp.1x", "f.tmp.-1", "f.tmp.0", ".tmp.5",
                           "f.tmp", "f.tmp.99999999999999999999"}) {
    write_file(folder / name, "");
    EXPECT_EQ(target_name(folder / name), "") << name;
  }
  fs::create_directory(folder / "folder.tmp.5");
  ASSERT_EQ(::mkfifo((folder / "pipe.tmp.5").c_str(), 0600), 0);
  fs::create_symlink("f.tmp", folder / "link.tmp.5");
  EXPECT_EQ(target_name(folder / "a.tmp.5.tmp.77"), "a.tmp.5");
  EXPECT_THAT(remove_dead_temporaries(folder.path(), any_target), IsEmpty());
}

TEST(DeadTemporaries, OfOneFileAreRemovedAlone) {
  const ScratchFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const AtomicFile one(folder / "one"), other(folder / "other");
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  fs::create_symlink(folder / "one", folder / "link");
  write_file(folder / "one", "");
  remove_dead_temporaries_of(folder / "link");
  EXPECT_THAT(list_folder(folder.path()),
              ElementsAre(folder / "link", folder / "one",
                          folder.path() / fmt::format("other.tmp.{}", child)));
}

}  // namespace
}  // namespace maskgrad
