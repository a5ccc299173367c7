#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include <maskgrad/layers/prove_causal.hpp>

namespace maskgrad {
namespace {

// A model recorded on one input.
struct Recorded {
  Recorded(const LanguageModel& model, const Variable& on, Pass pass)
      : tape({.trace = true}), tokens(on), logits(model(on, pass)) {}

  Tape tape;
  Variable tokens, logits;
};

// The same token in two recordings: its place among all, and without the other documents.
using SamePlace = std::pair<std::int64_t, std::int64_t>;

// A document that others stand before.
struct LastDocument {
  std::int64_t number = -1;
  std::vector<std::int64_t> places;  // of its tokens
};

LastDocument last_of(const Tensor& documents) {
  const auto numbers = documents.values<std::int64_t>();
  LastDocument last;
  if (numbers.empty()) return last;
  last.number = *std::max_element(numbers.begin(), numbers.end());
  const auto is_other = [&](std::int64_t number) { return number >= 0 && number != last.number; };
  if (std::none_of(numbers.begin(), numbers.end(), is_other)) return {};
  for (std::int64_t i = 0; i < documents.numel(); ++i) {
    if (numbers[static_cast<std::size_t>(i)] == last.number) last.places.push_back(i);
  }
  return last;
}

// Each sequence is a document, -1 in holes.
Tensor documents_of(const Variable& tokens) {
  Tensor documents = Tensor::empty(tokens.shape(), DType::kInt64);
  const bool* keep = tokens.mask().defined() ? tokens.mask().bits().data<bool>() : nullptr;
  std::int64_t* document = documents.data<std::int64_t>();
  for (std::int64_t i = 0; i < documents.numel(); ++i) {
    document[i] = !keep || keep[i] ? i / tokens.dim(1) : -1;
  }
  return documents;
}

Variable sequence_of(const Variable& tokens, std::int64_t b) {
  const std::int64_t length = tokens.dim(1);
  const auto row = [&](const Tensor& all) { return all.view(b * length, {1, length}).clone(); };
  const SequenceMask mask =
      tokens.mask().defined() ? SequenceMask(row(tokens.mask().bits())) : SequenceMask();
  return Variable(row(tokens.value()), Variable::kConstant, mask);
}

// The mask that keeps one sequence.
SequenceMask only(const SequenceMask& mask, std::int64_t b) {
  Tensor bits = Tensor::zeros(mask.shape(), DType::kBool);
  bits[b].copy_from(mask.bits()[b]);
  return SequenceMask(bits);
}

Variable packed(const Variable& tokens, const ops::Packing& packing) {
  const NoGrad no_grad;
  return ops::pack(Variable(tokens.value()), packing);
}

bool is_same_number(double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); }

bool differ(const Variable& all, const Variable& alone, std::span<const SamePlace> places) {
  const double least = all.dtype() == DType::kFloat64 ? 1e-9 : 1e-4;
  const Tensor a = all.value().to(DType::kFloat64).to(Device{}),
               b = alone.value().to(DType::kFloat64).to(Device{});
  const std::int64_t of_place = all.shape().numel() / all.shape().slice(0, 2).numel();
  double largest = 0, most = 0;
  for (const auto& [in_all, in_alone] : places) {
    const double* x = std::as_const(a).data<double>() + in_all * of_place;
    const double* y = std::as_const(b).data<double>() + in_alone * of_place;
    for (std::int64_t j = 0; j < of_place; ++j) {
      if (!std::isfinite(x[j]) || !std::isfinite(y[j])) {
        if (!is_same_number(x[j], y[j])) return true;
        continue;
      }
      largest = std::max({largest, std::abs(x[j]), std::abs(y[j])});
      most = std::max(most, std::abs(x[j] - y[j]));
    }
  }
  return most > least * largest;
}

// Bytes that a constant has for each of `positions`; 0 for one of another shape.
std::size_t bytes_of_place(const Tensor& x, const Shape& positions) {
  const bool by_row = x.shape().starts_with(positions);
  const bool is_flat = x.rank() > 0 && x.dim(0) == positions.numel();
  if (!(by_row || is_flat) || x.numel() == 0) return 0;
  return x.nbytes() / static_cast<std::size_t>(positions.numel());
}

class Comparison {
 public:
  Comparison(const Recorded& all, const Recorded& alone, std::vector<SamePlace> places)
      : all_(all), alone_(alone), places_(std::move(places)) {}

  // What is wrong; empty when nothing is. Throws Error for logits that cannot be compared.
  std::string fault() const {
    const Shape &all = all_.logits.shape(), &alone = alone_.logits.shape();
    check(alone.starts_with(alone_.tokens.shape()) &&
              all.slice(2, all.rank()) == alone.slice(2, alone.rank()),
          "prove_causal", "logits {} without the other documents do not fit {}", alone, all);
    if (!differ(all_.logits, alone_.logits, places_)) return "";
    for (std::size_t n = 0; n < std::min(all_.tape.nodes().size(), alone_.tape.nodes().size());
         ++n) {
      const Node &node = *all_.tape.nodes()[n], &other = *alone_.tape.nodes()[n];
      if (!node.call() || !other.call() || &node.op() != &other.op()) continue;
      for (const auto& [input, x] : node.call()->inputs) {
        const auto found = other.call()->inputs.find(input);
        if (found == other.call()->inputs.end() || is_same(x, found->second)) continue;
        return fmt::format("positions that do not restart: '{}' of {} differs at the same position",
                           input, name(n));
      }
    }
    return "positions that do not restart: no constant shows where";
  }

 private:
  std::string name(std::size_t n) const {
    const std::string& layer = all_.tape.scope(n);
    return all_.tape.nodes()[n]->op().name + (layer.empty() ? "" : " in layer '" + layer + "'");
  }

  // Whether two constants hold the same at the same token. True for what is no constant, and for
  // what does not hold something for each position.
  bool is_same(const Variable& x, const Variable& y) const {
    if (x.gradient() || y.gradient() || x.dtype() != y.dtype()) return true;
    const std::size_t bytes = bytes_of_place(x.value(), all_.tokens.shape());
    if (bytes == 0 || bytes != bytes_of_place(y.value(), alone_.tokens.shape())) return true;
    const Tensor on_host = x.value().to(Device{}), other_on_host = y.value().to(Device{});
    const std::byte *a = on_host.raw_data(), *b = other_on_host.raw_data();
    return std::all_of(places_.begin(), places_.end(), [&](const SamePlace& place) {
      return std::memcmp(a + static_cast<std::size_t>(place.first) * bytes,
                         b + static_cast<std::size_t>(place.second) * bytes, bytes) == 0;
    });
  }

  const Recorded &all_, &alone_;
  std::vector<SamePlace> places_;
};

std::string restart_in_batch(const LanguageModel& model, const Recorded& batch,
                             const Tensor& documents) {
  const LastDocument last = last_of(documents);
  if (last.number < 0) return "";
  const Recorded alone(model, sequence_of(batch.tokens, last.number), Pass());
  std::vector<SamePlace> places;
  for (const std::int64_t i : last.places) places.emplace_back(i, i % batch.tokens.dim(1));
  return Comparison(batch, alone, std::move(places)).fault();
}

std::string restart_on_row(const LanguageModel& model, const Recorded& row, const Variable& tokens,
                           const ops::Packing& packing) {
  const LastDocument last = last_of(packing.segments);
  if (last.number < 0) return "";
  const ops::Packing packing_alone = ops::packing_of(only(packing.mask, last.number));
  const Recorded alone(model, packed(tokens, packing_alone), Pass().on_row(packing_alone));
  std::vector<SamePlace> places;
  for (const std::int64_t i : last.places) places.emplace_back(i, i - last.places.front());
  return Comparison(row, alone, std::move(places)).fault();
}

void prove_row(const LanguageModel& model, const Variable& tokens, CausalProof& proof) {
  const ops::Packing packing = ops::packing_of(tokens.mask());
  const Recorded row(model, packed(tokens, packing), Pass().on_row(packing));
  const CausalProof on_row =
      prove_causal(row.tape, row.tokens.value(), row.logits, packing.segments);
  if (!on_row.holds()) {
    proof.path = on_row.path;
    proof.leak = on_row.leak;
    proof.on_row = true;
    return;
  }
  proof.restart = restart_on_row(model, row, tokens, packing);
}

// Runs `f`, and notes the Error that it throws.
template <class F>
void try_out(CausalProof& proof, const char* what, F f) {
  try {
    f();
  } catch (const Error& error) {
    proof.not_tried.push_back(fmt::format("{}: {}", what, error.what()));
  }
}

}  // namespace

CausalProof prove_causal(const LanguageModel& model, const Variable& tokens) {
  check_given(model != nullptr, "prove_causal", "the model");
  check_given(tokens.defined(), "prove_causal", "the tokens");
  check(tokens.rank() == 2, "prove_causal", "tokens must be [B, S], got {}", tokens.shape());
  const Tensor documents = documents_of(tokens);
  const Recorded batch(model, tokens, Pass());
  CausalProof proof = prove_causal(batch.tape, tokens.value(), batch.logits, documents);
  if (!proof.holds()) return proof;
  try_out(proof, "one sequence alone",
          [&] { proof.restart = restart_in_batch(model, batch, documents); });
  if (!proof.holds()) return proof;
  if (tokens.mask().defined()) {
    try_out(proof, "a packed row", [&] { prove_row(model, tokens, proof); });
  } else {
    proof.not_tried.emplace_back("a packed row: the tokens carry no mask");
  }
  return proof;
}

}  // namespace maskgrad
