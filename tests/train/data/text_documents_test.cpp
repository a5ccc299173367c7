#include <fstream>

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/train/data/text_documents.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::ScratchFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string text_of(const TextDocuments& documents, std::int64_t i) {
  std::string text(static_cast<std::size_t>(documents.bytes(i)), '?');
  documents.read(i, 0, text);
  return text;
}

std::vector<std::string> texts_of(const TextDocuments& documents) {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < documents.size(); ++i) texts.push_back(text_of(documents, i));
  return texts;
}

std::vector<std::string> names_in(const TextDocuments& documents, const fs::path& folder) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < documents.size(); ++i) {
    names.push_back(documents.path(i).lexically_relative(folder).string());
  }
  return names;
}

TEST(TextDocuments, AreTheFilesBelowAFolderInTheOrderOfTheirNames) {
  const ScratchFolder folder;
  // In another order than that of their names, which a file system may keep.
  for (const char* name : {"z", "b/x/deep.txt", "a.md", "b/a", "ab", "b/x/also", "Z"}) {
    write(folder / name, name);
  }
  const TextDocuments documents(folder.path());
  EXPECT_THAT(names_in(documents, folder.path()),
              ElementsAre("Z", "a.md", "ab", "b/a", "b/x/also", "b/x/deep.txt", "z"));
  EXPECT_THAT(texts_of(documents),
              ElementsAre("Z", "a.md", "ab", "b/a", "b/x/also", "b/x/deep.txt", "z"));
  EXPECT_EQ(documents.bytes(), 1 + 4 + 2 + 3 + 8 + 12 + 1);
  EXPECT_EQ(documents.skipped(), SkippedFiles{});
  EXPECT_EQ(documents.digest(2), digest_of("ab"));
}

TEST(TextDocuments, AreOneFileWhereItIsGivenWhateverItIsCalled) {
  const ScratchFolder folder;
  write(folder / ".notes", "hello");
  fs::create_symlink(".notes", folder / "link");
  EXPECT_THAT(texts_of(TextDocuments(folder / ".notes")), ElementsAre("hello"));
  EXPECT_THAT(texts_of(TextDocuments(folder / "link")), ElementsAre("hello"));
}

TEST(TextDocuments, HoldAnyBytesButNul) {
  const ScratchFolder folder;
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  const std::string long_one(200000, '\xff');  // no UTF-8
  write(folder / "all", all);
  write(folder / "one", "\x80");
  write(folder / "long", long_one);
  EXPECT_THAT(texts_of(TextDocuments(folder.path())), ElementsAre(all, long_one, "\x80"));
}

TEST(TextDocuments, SkipWhatIsHiddenEmptyBinaryOrNoFileAndCountIt) {
  const ScratchFolder folder;
  using namespace std::string_literals;
  write(folder / "text", "text");
  write(folder / ".git/objects/x", "hidden");
  write(folder / ".git/config", "hidden");
  write(folder / "sub/.hidden", "hidden");
  write(folder / "sub/binary", "ELF\0"s);
  write(folder / "sub/late", std::string(150000, 'x') + "\0"s);
  write(folder / "sub/utf16", "t\0e\0x\0t\0"s);
  write(folder / "sub/empty", "");
  ASSERT_EQ(::mkfifo((folder / "sub/pipe").c_str(), 0600), 0);
  fs::create_symlink("nowhere", folder / "dangling");
  const TextDocuments documents(folder.path());
  EXPECT_THAT(texts_of(documents), ElementsAre("text"));
  EXPECT_EQ(documents.skipped(), (SkippedFiles{.hidden = 2, .binary = 3, .empty = 1, .others = 2}));
  EXPECT_EQ(to_string(documents.skipped()),
            "2 hidden, 3 with NUL bytes, 1 empty, 2 that are not regular files");
  EXPECT_EQ(to_string(SkippedFiles{}), "");
  EXPECT_EQ(to_string(SkippedFiles{.empty = 7}), "7 empty");
}

TEST(TextDocuments, FollowLinksToFilesAndNoneToFolders) {
  const ScratchFolder folder;
  write(folder / "data/real/a", "a");
  write(folder / "blob", "linked");
  fs::create_symlink("../blob", folder / "data/file");
  fs::create_directory_symlink("real", folder / "data/other");
  fs::create_directory_symlink("..", folder / "data/real/up");  // a loop
  fs::create_symlink("self", folder / "data/self");
  const TextDocuments documents(folder / "data");
  EXPECT_THAT(names_in(documents, folder / "data"), ElementsAre("file", "real/a"));
  EXPECT_EQ(documents.skipped(), SkippedFiles{.others = 3});
  fs::create_directory_symlink("data", folder / "given");
  EXPECT_EQ(TextDocuments(folder / "given").size(), 2) << "the folder that is given may be a link";
}

TEST(TextDocuments, SayWhyThereIsNoText) {
  const ScratchFolder folder;
  const std::string name = folder.path().string();
  const auto error = [&](const fs::path& path) { return error_of([&] { TextDocuments d(path); }); };
  EXPECT_EQ(error(folder.path()), "[text] '" + name + "' holds no text");
  write(folder / "empty", "");
  write(folder / ".hidden", "x");
  EXPECT_EQ(error(folder.path()),
            "[text] '" + name + "' holds no text (skipped: 1 hidden, 1 empty)");
  EXPECT_EQ(error(folder / "empty"),
            "[text] '" + name + "/empty' holds no text (skipped: 1 empty)");
  write(folder / "binary", std::string(3, '\0'));
  EXPECT_EQ(error(folder / "binary"),
            "[text] '" + name + "/binary' is no text: it holds a NUL byte");
  EXPECT_EQ(error(folder / "none"),
            "[file] cannot open '" + name + "/none': No such file or directory");
  EXPECT_EQ(error("/dev/zero"), "[file] cannot read '/dev/zero': it is no regular file");
  EXPECT_EQ(error(""), "[file] cannot open '': No such file or directory");
  EXPECT_THAT(error(folder.path() / std::string(300, 'x')), HasSubstr("File name too long"));
}

TEST(TextDocuments, SayWhatCannotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const ScratchFolder folder;
  write(folder / "sub/file", "x");
  fs::permissions(folder / "sub/file", fs::perms::none);
  EXPECT_THAT(error_of([&] { TextDocuments d(folder.path()); }),
              HasSubstr("sub/file': Permission denied"));
  fs::permissions(folder / "sub", fs::perms::none);
  EXPECT_THAT(error_of([&] { TextDocuments d(folder.path()); }),
              HasSubstr("sub': Permission denied"));
  fs::permissions(folder / "sub", fs::perms::owner_all);
}

TEST(TextDocuments, MayBeMoreThanTheSystemMapsOrOpens) {
  constexpr int kFiles = 3000;
  const ScratchFolder folder;
  for (int i = 0; i < kFiles; ++i) {
    std::ofstream(folder.path() / fmt::format("{:05}", i)) << i;
  }
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{64, old.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const TextDocuments documents(folder.path());
  ::setrlimit(RLIMIT_NOFILE, &old);
  ASSERT_EQ(documents.size(), kFiles);
  for (int i = 0; i < kFiles; i += 97) EXPECT_EQ(text_of(documents, i), std::to_string(i));
}

TEST(TextDocuments, MayStandDeepBelowTheFolder) {
  const ScratchFolder folder;
  fs::path deep = folder.path();
  for (int i = 0; i < 500; ++i) deep /= "d";
  write(deep / "file", "deep");
  EXPECT_THAT(texts_of(TextDocuments(folder.path())), ElementsAre("deep"));
}

TEST(TextDocuments, RefuseADocumentOrAPlaceThatIsNotThere) {
  const ScratchFolder folder;
  write(folder / "f", "hello");
  const TextDocuments documents(folder / "f");
  const auto read = [&](std::int64_t document, std::int64_t offset) {
    char out[3];
    return error_of([&] { documents.read(document, offset, out); });
  };
  EXPECT_EQ(read(1, 0), "[text] there is no document 1: there are 1");
  EXPECT_EQ(read(-1, 0), "[text] there is no document -1: there are 1");
  EXPECT_THAT(read(0, 3), HasSubstr("from byte 3 on: it has 5"));
  EXPECT_THAT(read(0, -1), HasSubstr("it has 5"));
}

TEST(TextTokens, BeginWithTheDocumentTokenAndAreTheBytes) {
  EXPECT_THAT(text_tokens("A\xff\n"), ElementsAre(256, 65, 255, 10));
  EXPECT_THAT(text_tokens(""), ElementsAre(kDocumentToken));
  EXPECT_LT(kDocumentToken, kTextVocabulary);
}

}  // namespace
}  // namespace maskgrad
