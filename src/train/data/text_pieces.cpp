#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <utility>

#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/pad_rows.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/text_pieces.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "text";

TextSpan whole(const TextDocuments& documents, std::int64_t document) {
  return {document, 0, documents.bytes(document) + 1};
}

// Documents in the order that their contents draw. Equal ones stand side by side.
std::vector<std::int64_t> drawn_order(const TextDocuments& documents) {
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint32_t, std::int64_t>;
  std::vector<Key> keys;
  for (std::int64_t i = 0; i < documents.size(); ++i) {
    const Digest& digest = documents.digest(i);
    Random random(/*seed=*/digest.bytes, stream_of("held-out text"), digest.crc);
    keys.emplace_back(random.bits64(), digest.bytes, digest.crc, i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::int64_t> order;
  for (const Key& key : keys) order.push_back(std::get<3>(key));
  return order;
}

// Which whole documents to hold out: at most `most` bytes of them.
std::vector<bool> choose_documents(const TextDocuments& documents, double most) {
  std::vector<bool> chosen(static_cast<std::size_t>(documents.size()), false);
  const std::vector<std::int64_t> order = drawn_order(documents);
  double held = 0;
  for (std::size_t i = 0, end = 0; i < order.size(); i = end) {
    double bytes = 0;  // of all documents that equal this one
    for (end = i; end < order.size() && documents.digest(order[end]) == documents.digest(order[i]);
         ++end) {
      bytes += static_cast<double>(documents.bytes(order[end]));
    }
    if (held + bytes > most) continue;
    held += bytes;
    for (; i < end; ++i) chosen[static_cast<std::size_t>(order[i])] = true;
  }
  return chosen;
}

// The end of the largest document: the byte before its end at least, and never its first byte.
TextSpan end_of_largest(const TextDocuments& documents, double share) {
  std::int64_t largest = 0;
  for (std::int64_t i = 1; i < documents.size(); ++i) {
    if (documents.bytes(i) > documents.bytes(largest)) largest = i;
  }
  const TextSpan all = whole(documents, largest);
  check(documents.bytes(largest) >= 2, kName,
        "'{}' is too short to train on a part of it and to hold out the rest: it must have 2 bytes "
        "at least",
        documents.path(largest).string());
  const double wanted = std::round(share * static_cast<double>(documents.bytes()));
  const auto held =
      static_cast<std::int64_t>(std::clamp(wanted, 2.0, static_cast<double>(all.last - 1)));
  return {largest, all.last - held, all.last};
}

}  // namespace

TextSplit split_text(const TextDocuments& documents, double share) {
  check(share >= 0 && share < 1, kName, "the share that is held out must be in [0, 1), not {}",
        share);
  const auto chosen = choose_documents(documents, share * static_cast<double>(documents.bytes()));
  TextSplit split;
  for (std::int64_t i = 0; i < documents.size(); ++i) {
    const bool is_held = chosen[static_cast<std::size_t>(i)];
    (is_held ? split.held_out : split.training).push_back(whole(documents, i));
  }
  if (share == 0 || !split.held_out.empty()) return split;
  const TextSpan end = end_of_largest(documents, share);
  for (TextSpan& span : split.training) {
    if (documents.digest(span.document) == documents.digest(end.document)) span.last = end.first;
  }
  split.held_out = {end};
  split.within_document = true;
  return split;
}

TextPieces::TextPieces(std::shared_ptr<const TextDocuments> documents, std::vector<TextSpan> spans,
                       std::int64_t length, std::int64_t passes)
    : documents_(std::move(documents)), spans_(std::move(spans)), length_(length), passes_(passes) {
  check_given(documents_ != nullptr, kName, "the documents of pieces");
  check(length >= 1, kName, "the length of pieces must be at least 1, not {}", length);
  check(passes >= 1, kName, "the passes of an epoch must be at least 1, not {}", passes);
  for (const TextSpan& span : spans_) {
    const std::int64_t tokens = documents_->bytes(span.document) + 1;
    check(span.first >= 0 && span.first < span.last && span.last <= tokens, kName,
          "document {} has no tokens {} to {}: it has {}", span.document, span.first, span.last - 1,
          tokens);
    const std::int64_t count = (span.last - span.first - 1) / length + 1;
    first_sample_.push_back(checked_add(kName, "the pieces", pieces(), count));
  }
  checked_multiply(kName, "the pieces of all passes", passes, pieces());
}

// By how many tokens the first piece of a span is shorter than the others.
std::int64_t TextPieces::shift(std::size_t span, std::int64_t pass) const {
  if (pass == 0) return 0;
  const std::int64_t pieces = first_sample_[span + 1] - first_sample_[span];
  const std::int64_t room = pieces * length_ - (spans_[span].last - spans_[span].first);
  return Random(static_cast<std::uint64_t>(pass), stream_of("pieces of text"), span)
      .integer(0, room);
}

TextSpan TextPieces::sample(std::int64_t id, std::int64_t epoch) const {
  check(id >= 0 && id < size(), kName, "there is no sample {}: there are {}", id, size());
  const std::int64_t pass = epoch * passes_ + id / pieces(), piece = id % pieces();
  const auto behind = std::upper_bound(first_sample_.begin(), first_sample_.end(), piece);
  const auto index = static_cast<std::size_t>(behind - first_sample_.begin() - 1);
  const TextSpan& span = spans_[index];
  const std::int64_t begin = (piece - first_sample_[index]) * length_ - shift(index, pass);
  const std::int64_t end = begin + std::min(length_, span.last - span.first - begin);
  return {span.document, span.first + std::max<std::int64_t>(begin, 0), span.first + end};
}

// The tokens that the model reads, and behind them the last one that it is to predict.
std::vector<std::int64_t> TextPieces::tokens(const TextSpan& piece) const {
  const std::int64_t begin = std::max<std::int64_t>(piece.first - 1, 0);
  const std::int64_t end = std::min(piece.last, documents_->bytes(piece.document));
  std::string bytes(static_cast<std::size_t>(end - begin), '\0');
  documents_->read(piece.document, begin, bytes);
  std::vector<std::int64_t> tokens;
  tokens.reserve(static_cast<std::size_t>(piece.last - piece.first + 1));
  if (piece.first == 0) tokens.push_back(kDocumentToken);
  for (const char byte : bytes) tokens.push_back(static_cast<unsigned char>(byte));
  if (piece.last > end) tokens.push_back(kDocumentToken);
  return tokens;
}

Batch TextPieces::collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const {
  std::vector<std::vector<std::int64_t>> pieces;
  for (const std::int64_t id : ids) pieces.push_back(tokens(sample(id, epoch)));
  // The tokens of each piece from one on, all but one of them.
  const auto from = [&](std::size_t first) {
    return pad_rows(std::ssize(pieces), kTextPadding, 0, [&pieces, first](std::int64_t b) {
      const std::span<const std::int64_t> piece = pieces[static_cast<std::size_t>(b)];
      return piece.subspan(first, piece.size() - 1);
    });
  };
  return {from(0), from(1), Tensor::from(ids, {std::ssize(ids)})};
}

std::string TextPieces::fingerprint() const {
  std::uint32_t crc = 0;
  const auto add = [&crc](std::span<const std::int64_t> numbers) {
    crc = crc32c({reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()}, crc);
  };
  add(std::array{length_});
  for (const TextSpan& span : spans_) {
    const Digest& digest = documents_->digest(span.document);
    add(std::array{static_cast<std::int64_t>(digest.bytes), static_cast<std::int64_t>(digest.crc),
                   span.first, span.last});
  }
  return fmt::format("{} samples, crc32c {}", size(), crc_text(crc));
}

}  // namespace maskgrad
