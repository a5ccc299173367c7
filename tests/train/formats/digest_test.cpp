#include <gmock/gmock.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;

// crc32c("123456789") is the check value of RFC 3720.
TEST(Digest, IsLengthAndChecksumHoweverTheBytesAreDivided) {
  const Digest whole = digest_of("123456789");
  EXPECT_EQ(to_string(whole), "9 bytes, crc32c e3069283");
  Digest pieces;
  for (const char* piece : {"1234", "", "56789"}) pieces.add(piece);
  EXPECT_EQ(pieces, whole);
  EXPECT_EQ(to_string(Digest{}), "0 bytes, crc32c 00000000");
}

TEST(Digest, OfAFileIsThatOfItsBytes) {
  const ScratchFolder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{65536}, std::size_t{200001}}) {
    const std::string bytes(size, 'x');
    write_file(folder / "f", bytes);
    EXPECT_EQ(digest_of_file(folder / "f"), digest_of(bytes));
  }
  EXPECT_THAT(error_of([&] { digest_of_file(folder / "none"); }),
              ::testing::HasSubstr("cannot open"));
}

TEST(Digest, ComesBackFromItsOwnTextAndFromNoOther) {
  for (const Digest& digest : {Digest{}, Digest{UINT64_MAX, UINT32_MAX}, Digest{12, 0xabc}}) {
    EXPECT_EQ(parse_digest(to_string(digest)), digest);
  }
  for (const char* text :
       {"", "9 bytes, crc32c e306928", "9 bytes, crc32c E3069283", " 9 bytes, crc32c e3069283",
        "09 bytes, crc32c e3069283", "-9 bytes, crc32c e3069283", "9 bytes, crc32c e3069283 ",
        "99999999999999999999 bytes, crc32c e3069283", "e3069283"}) {
    EXPECT_EQ(parse_digest(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_crc("0000000g"), std::nullopt);
  EXPECT_EQ(parse_crc("0x000001"), std::nullopt);
}

}  // namespace
}  // namespace maskgrad
