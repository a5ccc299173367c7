// Parts of models [B, S, D] -> [B, S, D], most of them right and some with the faults that people
// make, for tests of what checks find.
#pragma once

#include <functional>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::test {

constexpr std::int64_t kPieceBatch = 2, kPieceLength = 4, kPieceFeatures = 3;

/// What a piece may use.
struct Weights {
  Variable q, k, v;    // [D, D]
  Variable row, bias;  // [D]
  Variable positions;  // [S, D]
};

struct Piece {
  const char* name;
  bool is_faulty;
  MaskRule rule;
  std::function<Variable(const Variable& x, const Weights& w)> run;
};

class PieceLayer : public Layer {
 public:
  explicit PieceLayer(const Piece& piece)
      : Layer(piece.name, piece.rule),
        run_(piece.run),
        q_(parameter("q", {kPieceFeatures, kPieceFeatures}, glorot_uniform())),
        k_(parameter("k", {kPieceFeatures, kPieceFeatures}, glorot_uniform())),
        v_(parameter("v", {kPieceFeatures, kPieceFeatures}, glorot_uniform())),
        row_(parameter("row", {kPieceFeatures}, ones())),
        bias_(parameter("bias", {kPieceFeatures}, ones())),
        positions_(parameter("positions", {kPieceLength, kPieceFeatures}, glorot_uniform())) {}

 protected:
  Variable forward(const Variable& x, Pass&) override {
    return run_(x, {q_, k_, v_, row_, bias_, positions_});
  }

 private:
  decltype(Piece::run) run_;
  Parameter &q_, &k_, &v_, &row_, &bias_, &positions_;
};

/// [B, S, 1]: 1 where a position exists, 0 elsewhere.
Variable bits_of(const Variable& x);
/// The mask one position later.
SequenceMask shifted(const SequenceMask& mask);
/// Attention, and the mask of x on what comes.
Variable attend(const Variable& x, const Variable& q, const Variable& k, const Variable& v,
                const AttentionMask& mask);
/// The same by three operations, of values projected first.
Variable attend_by_pairs(const Variable& x, const Weights& w, const AttentionMask& mask);
/// Of sequences that are full of positions, existing or not.
Tensor lengths_of(const Variable& x);

/// Pieces that keep or use the mask, if nothing else is said; and those that do it wrong.
const std::vector<Piece>& sound_pieces();
const std::vector<Piece>& faulty_pieces();
/// From [B, S, D] with a mask to something without one.
const std::vector<Piece>& sound_ends();
const std::vector<Piece>& faulty_ends();

}  // namespace maskgrad::test
