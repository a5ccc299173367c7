// Texts in files, for tests of documents.
#pragma once

#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <maskgrad/train/data/text_pieces.hpp>

#include "support/files.hpp"

namespace maskgrad::test {

/// Files "00000", "00001", ... of these texts.
class Texts {
 public:
  explicit Texts(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      std::ofstream(folder_.path() / fmt::format("{:05}", i), std::ios::binary) << texts_[i];
    }
    documents = std::make_shared<TextDocuments>(folder_.path());
  }
  /// What is predicted of document i: its bytes, and its end.
  std::vector<std::int64_t> tokens(std::int64_t i) const {
    std::vector<std::int64_t> all;
    for (const char c : texts_[static_cast<std::size_t>(i)])
      all.push_back(static_cast<unsigned char>(c));
    all.push_back(256);
    return all;
  }
  std::filesystem::path path(int i) const { return folder_.path() / fmt::format("{:05}", i); }

  std::shared_ptr<const TextDocuments> documents;

 private:
  ScratchFolder folder_;
  std::vector<std::string> texts_;
};

inline std::vector<TextSpan> whole(const TextDocuments& documents) {
  std::vector<TextSpan> spans;
  for (std::int64_t i = 0; i < documents.size(); ++i)
    spans.push_back({i, 0, documents.bytes(i) + 1});
  return spans;
}

inline std::vector<std::string> random_texts(unsigned seed, int count, int longest) {
  std::mt19937 random(seed);
  std::vector<std::string> texts(static_cast<std::size_t>(count));
  for (std::string& text : texts) {
    text.resize(1 + random() % static_cast<unsigned>(longest));
    for (char& c : text) c = static_cast<char>(1 + random() % 255);
  }
  return texts;
}

}  // namespace maskgrad::test
