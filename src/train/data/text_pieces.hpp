// Documents cut into pieces, for a causal language model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/data/text_documents.hpp>

namespace maskgrad {

/// Some tokens of a document: first, ..., last - 1. Of a document of n bytes token p is byte p, and
/// token n is kDocumentToken, which ends it.
struct TextSpan {
  std::int64_t document = 0, first = 0, last = 0;

  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

/// What a model is trained on, and what it never sees in training.
struct TextSplit {
  std::vector<TextSpan> training, held_out;  // in the order of the documents
  bool within_document = false;              // a document is cut: no other could be held out
};

/// Holds out at most `share` of all bytes in whole documents. Their contents draw an order of the
/// documents, and in this order each is held out that still fits in the share. Equal documents stay
/// together. The same documents give the same split under any names.
/// Where no document fits, the end of the largest one is held out: `share` of all bytes, rounded to
/// whole tokens, but the last byte and the document's end at least, and never the first byte. So
/// this may be more than the share. Documents that equal it lose the same end. With a share
/// of 0 nothing is held out. Throws Error for a share that is not in [0, 1), and where an end is to
/// be held out and the largest document has one byte.
TextSplit split_text(const TextDocuments& documents, double share);

/// What fills up the rows of a batch of TextPieces.
inline constexpr std::int64_t kTextPadding = -1;

/// Each sample is a piece of one document: `length` tokens to predict, or fewer at the end of a
/// span. Each token of the spans is predicted once in an epoch. What a model reads to predict a
/// token are those before it in the piece, and one more before the first: the byte that stands
/// there in the document, or kDocumentToken. Epoch 0 cuts a span from its beginning on. Later ones
/// begin with a shorter piece, as far as the last piece leaves room: a token then stands behind
/// others than before. With several `passes` an epoch holds each token so many times, and each pass
/// cuts the spans as an epoch of its own would: for texts so short that epochs would end too often.
/// A batch has inputs, int64 [B, S], and targets, int64 [B, S]: the token behind each. S is the
/// length of its longest piece. Shorter ones are filled up behind with kTextPadding.
class TextPieces : public Dataset {
 public:
  /// Throws Error for a length or passes below 1, for no documents, and for a span that is empty or
  /// that its document does not have.
  TextPieces(std::shared_ptr<const TextDocuments> documents, std::vector<TextSpan> spans,
             std::int64_t length, std::int64_t passes = 1);

  std::int64_t size() const override { return passes_ * pieces(); }
  /// Throws Error for a sample that is not there, and as TextDocuments::read().
  Batch collate(std::span<const std::int64_t> ids) const override { return collate_in(0, ids); }
  Batch collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const override;
  /// The checksum covers the length, the spans, and the bytes that their documents had when they
  /// were first read. The names of files do not count, but their order does.
  std::string fingerprint() const override;

  /// The tokens that a sample predicts in an epoch.
  TextSpan sample(std::int64_t id, std::int64_t epoch = 0) const;

 private:
  std::int64_t pieces() const { return first_sample_.back(); }  // of a pass
  std::vector<std::int64_t> tokens(const TextSpan& piece) const;
  std::int64_t shift(std::size_t span, std::int64_t pass) const;

  std::shared_ptr<const TextDocuments> documents_;
  std::vector<TextSpan> spans_;
  std::vector<std::int64_t> first_sample_ = {0};  // of each span, and behind the last one
  std::int64_t length_, passes_;
};

}  // namespace maskgrad
