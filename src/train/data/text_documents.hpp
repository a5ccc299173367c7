// Files of text, for language models that read bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/formats/mapped_file.hpp>

namespace maskgrad {

/// The tokens of text: a byte is a token, and one more stands before the first byte of a document
/// and behind its last.
inline constexpr std::int64_t kDocumentToken = 256;
inline constexpr std::int64_t kTextVocabulary = 257;

/// The beginning of a document as tokens: kDocumentToken, then the bytes.
std::vector<std::int64_t> text_tokens(std::string_view bytes);

/// How many files of a folder are no documents, and why.
struct SkippedFiles {
  std::int64_t hidden = 0;  // names that begin with ".": files, or folders with all they hold
  std::int64_t binary = 0;  // hold a NUL byte
  std::int64_t empty = 0;
  std::int64_t others = 0;  // devices, pipes, links that lead nowhere or to folders

  friend bool operator==(const SkippedFiles&, const SkippedFiles&) = default;
};
/// "3 hidden, 1 with NUL bytes", or an empty text.
std::string to_string(const SkippedFiles& skipped);

/// Documents of any bytes but NUL. Each is a whole file. Files of more than 64 KiB are mapped and
/// read when they are needed, so they may be more than memory holds. Smaller files stay in memory.
/// Any number of threads may read.
class TextDocuments {
 public:
  /// One file, or all regular files below a folder. The files of a folder come in the order of
  /// their names, and those of a folder within it in its place. Links to files are followed, links
  /// to folders are not. Each file is read once from its beginning to its end. Throws Error
  /// "[text] 'x' holds no text (skipped: 2 empty)" when there is no document, for a single file
  /// with a NUL byte, and where the system refuses.
  explicit TextDocuments(const std::filesystem::path& path);

  /// The number of documents.
  std::int64_t size() const { return static_cast<std::int64_t>(documents_.size()); }
  /// The bytes of document 0, 1, ..., at least 1; and those of all documents.
  std::int64_t bytes(std::int64_t document) const;
  std::int64_t bytes() const { return bytes_; }
  const std::filesystem::path& path(std::int64_t document) const;
  /// Of the bytes that the document had when it was first read.
  const Digest& digest(std::int64_t document) const;
  /// Copies the bytes from `offset` on to `out`. Throws Error as MappedFile::read().
  void read(std::int64_t document, std::int64_t offset, std::span<char> out) const;

  /// What a folder held besides.
  const SkippedFiles& skipped() const { return skipped_; }

 private:
  struct Document {
    MappedFile file;
    Digest digest;
  };
  void add_folder(const std::filesystem::path& folder);
  void add_file(const std::filesystem::path& path);
  const Document& at(std::int64_t document) const;

  std::vector<Document> documents_;
  std::int64_t bytes_ = 0;
  SkippedFiles skipped_;
};

}  // namespace maskgrad
