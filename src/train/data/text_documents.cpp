#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/data/text_documents.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "text";

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

// What the path, or the link that it is, leads to; not_found where that is nothing.
fs::file_type type_of(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() != fs::file_type::none) return status.type();
  if (error == std::errc::too_many_symbolic_link_levels) return fs::file_type::not_found;
  fail_file("cannot read", path, error.value());
}

bool is_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(fs::symlink_status(path, ignored));
}

// Nothing for a file with a NUL byte.
std::optional<Digest> digest_of_text(const MappedFile& file) {
  constexpr std::uint64_t kPiece = 1 << 16;
  Digest digest;
  std::string piece;
  while (digest.bytes < file.size()) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, file.size() - digest.bytes)));
    file.read(digest.bytes, piece);
    if (std::memchr(piece.data(), '\0', piece.size()) != nullptr) return std::nullopt;
    digest.add(piece);
  }
  return digest;
}

}  // namespace

std::vector<std::int64_t> text_tokens(std::string_view bytes) {
  std::vector<std::int64_t> tokens = {kDocumentToken};
  for (const char c : bytes) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

std::string to_string(const SkippedFiles& skipped) {
  std::string text;
  const auto add = [&](std::int64_t count, const char* what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(skipped.hidden, "hidden");
  add(skipped.binary, "with NUL bytes");
  add(skipped.empty, "empty");
  add(skipped.others,
      skipped.others == 1 ? "that is not a regular file" : "that are not regular files");
  return text;
}

TextDocuments::TextDocuments(const fs::path& path) {
  const bool is_folder = type_of(path) == fs::file_type::directory;
  if (is_folder)
    add_folder(path);
  else
    add_file(path);
  check(is_folder || skipped_.binary == 0, kName, "'{}' is no text: it holds a NUL byte",
        path.string());
  const std::string skipped = to_string(skipped_);
  check(size() > 0, kName, "'{}' holds no text{}", path.string(),
        skipped.empty() ? "" : fmt::format(" (skipped: {})", skipped));
}

void TextDocuments::add_folder(const fs::path& folder) {
  for (const fs::path& path : list_folder(folder)) {
    if (is_hidden(path)) {
      ++skipped_.hidden;
      continue;
    }
    const fs::file_type type = type_of(path);
    if (type == fs::file_type::directory && !is_link(path))
      add_folder(path);
    else if (type == fs::file_type::regular)
      add_file(path);
    else
      ++skipped_.others;
  }
}

void TextDocuments::add_file(const fs::path& path) {
  MappedFile file(path);
  if (file.size() == 0) {
    ++skipped_.empty;
    return;
  }
  const std::optional<Digest> digest = digest_of_text(file);
  if (!digest) {
    ++skipped_.binary;
    return;
  }
  bytes_ += static_cast<std::int64_t>(file.size());
  documents_.push_back({std::move(file), *digest});
}

const TextDocuments::Document& TextDocuments::at(std::int64_t document) const {
  check(document >= 0 && document < size(), kName, "there is no document {}: there are {}",
        document, size());
  return documents_[static_cast<std::size_t>(document)];
}

std::int64_t TextDocuments::bytes(std::int64_t document) const {
  return static_cast<std::int64_t>(at(document).file.size());
}

const fs::path& TextDocuments::path(std::int64_t document) const {
  return at(document).file.path();
}

const Digest& TextDocuments::digest(std::int64_t document) const { return at(document).digest; }

void TextDocuments::read(std::int64_t document, std::int64_t offset, std::span<char> out) const {
  at(document).file.read(static_cast<std::uint64_t>(offset), out);
}

}  // namespace maskgrad
