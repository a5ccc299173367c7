#include <algorithm>
#include <functional>
#include <optional>

#include <maskgrad/tensor/check/mask_path.hpp>
#include <maskgrad/tensor/check/prove_causal.hpp>
#include <maskgrad/tensor/check/token_places.hpp>
#include <maskgrad/tensor/print.hpp>

namespace maskgrad {
namespace {

using check_detail::MaskPath;
using check_detail::name_of;
using check_detail::TokenPlace;
using check_detail::TokenPlaces;

using Choice = std::function<bool(const TokenPlace&)>;

constexpr const char* kName = "prove_causal";

bool can_read_integers(const Node& node) {
  const auto takes = [](const InputSpec& spec) { return contains(spec.dtypes, DType::kInt64); };
  const auto has = [](const Ref<Gradient>& input) {
    return input && contains(DTypes::kInteger, input->dtype());
  };
  return std::any_of(node.op().inputs.begin(), node.op().inputs.end(), takes) ||
         std::any_of(node.inputs().begin(), node.inputs().end(), has);
}

void check_calls(const Tape& tape) {
  for (std::size_t n = 0; n < tape.nodes().size(); ++n) {
    const Node& node = *tape.nodes()[n];
    check(node.call() != nullptr || !can_read_integers(node), kName,
          "{} did not tell record() all that it was called with, so it may read tokens",
          name_of(tape, n));
  }
}

void check_tokens_read(const Tape& tape, const Tensor& tokens) {
  const Tensor all = Tensor::full(tokens.shape(), true, DType::kBool);
  const auto is_read = [&](const Ref<Node>& node) {
    if (!node->call()) return false;
    const auto& inputs = node->call()->inputs;
    return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
      return any(marks_in_view(input.second.value(), tokens, all));
    });
  };
  check(tokens.numel() == 0 || std::any_of(tape.nodes().begin(), tape.nodes().end(), is_read),
        kName, "no operation on the tape reads the tokens");
}

void check_shapes(const Tensor& tokens, const Variable& logits, const Tensor& documents) {
  check_given(tokens.defined(), kName, "the tokens");
  check_given(logits.defined(), kName, "the logits");
  check(tokens.rank() == 2 && contains(DTypes::kInteger, tokens.dtype()), kName,
        "tokens must be int32 or int64 [B, S], got {} {}", to_string(tokens.dtype()),
        tokens.shape());
  check(logits.shape().starts_with(tokens.shape()), kName,
        "logits {} do not begin with the positions {} of the tokens", logits.shape(),
        tokens.shape());
  if (!documents.defined()) return;
  check(documents.shape() == tokens.shape() && documents.dtype() == DType::kInt64, kName,
        "documents must be int64 {}, got {} {}", tokens.shape(), to_string(documents.dtype()),
        documents.shape());
}

NodeOutput maker_of(const Tape& tape, const Variable& logits) {
  for (const NodeOutput& output : outputs_of(tape)) {
    if (tape.nodes()[output.node]->outputs()[output.output].get() == logits.gradient()) {
      return output;
    }
  }
  fail(kName, "the logits were not recorded on this tape");
}

class Search {
 public:
  // A token, and an element of the logits that must not depend on it and can.
  struct Leak {
    std::int64_t token, element;
  };

  Search(const Tape& tape, const Tensor& tokens, const Variable& logits, const TokenPlaces& places)
      : tape_(tape),
        tokens_(tokens),
        logits_(maker_of(tape, logits)),
        of_token_(logits.shape().numel() / std::max<std::int64_t>(1, tokens.numel())),
        places_(places) {}

  std::optional<Leak> find() const {
    const std::optional<Leak> leak = from_behind();
    return leak ? leak : from_neighbours();
  }

  bool is_within_document(const Leak& leak) const {
    return places_[leak.token].document == places_[token_of(leak.element)].document;
  }

  std::vector<std::string> path(const Leak& leak) const {
    const std::string start = "token " + places_.name(leak.token);
    const MarkedTape marked = run(mark(tokens_.shape(), leak.token));
    const MaskPath path(marked, {}, [&](const Gradient&, std::int64_t, const Node* maker) {
      return maker ? "" : start;
    });
    std::vector<std::string> lines = path.to_value(logits_.node, logits_.output, leak.element);
    if (lines.front() != start) lines.insert(lines.begin(), start);  // it came as indices
    lines.back() += ", a logit of position " + places_.name(token_of(leak.element));
    return lines;
  }

 private:
  std::int64_t token_of(std::int64_t element) const { return element / of_token_; }

  MarkedTape run(const Tensor& marks) const {
    MarkedTape marked(tape_);
    marked.mark_memory(tokens_, marks);
    marked.run(/*holes=*/false);
    return marked;
  }

  // Which logits can depend on these tokens.
  Tensor reached(std::span<const std::int64_t> tokens) const {
    Tensor marks = Tensor::zeros(tokens_.shape(), DType::kBool);
    for (const std::int64_t token : tokens) marks.data<bool>()[token] = true;
    return run(marks).marks(*tape_.nodes()[logits_.node]->outputs()[logits_.output]);
  }

  std::optional<Leak> from_behind() const {
    std::optional<Leak> leak;
    for (std::int64_t k = 1; k < places_.longest() && !leak; ++k) {
      leak = between([k](const TokenPlace& place) { return place.position >= k; });
    }
    return leak;
  }

  // The numbers of two documents differ in a bit.
  std::optional<Leak> from_neighbours() const {
    std::optional<Leak> leak;
    for (int bit = 0; (places_.documents() - 1) >> bit > 0 && !leak; ++bit) {
      const auto is_set = [bit](const TokenPlace& place) {
        return (place.document >> bit & 1) != 0;
      };
      leak = between(is_set);
      if (!leak) leak = between(std::not_fn(is_set));
    }
    return leak;
  }

  // From the chosen tokens to a logit of another token.
  std::optional<Leak> between(const Choice& is_chosen) const {
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < places_.size(); ++i) {
      if (places_[i].exists() && is_chosen(places_[i])) chosen.push_back(i);
    }
    if (chosen.empty()) return std::nullopt;
    const Tensor marks = reached(chosen);
    const auto bits = marks.values<bool>();
    for (std::int64_t e = 0; e < std::ssize(bits); ++e) {
      const TokenPlace& place = places_[token_of(e)];
      if (!bits[static_cast<std::size_t>(e)] || !place.exists() || is_chosen(place)) continue;
      return Leak{narrowed(std::move(chosen), e), e};
    }
    return std::nullopt;
  }

  // One of these tokens that reaches the element, of its own document where there is one.
  std::int64_t narrowed(std::vector<std::int64_t> tokens, std::int64_t element) const {
    const auto reaches = [&](std::span<const std::int64_t> some) {
      return !some.empty() && reached(some).data<bool>()[element];
    };
    const auto is_own = [&](std::int64_t token) {
      return places_[token].document == places_[token_of(element)].document;
    };
    const auto others = std::stable_partition(tokens.begin(), tokens.end(), is_own);
    std::span<const std::int64_t> left(tokens.begin(), others);
    if (!reaches(left)) left = std::span<const std::int64_t>(others, tokens.end());
    while (left.size() > 1) {
      const auto half = left.first(left.size() / 2);
      left = reaches(half) ? half : left.subspan(half.size());
    }
    return left.front();
  }

  const Tape& tape_;
  const Tensor tokens_;
  NodeOutput logits_;
  std::int64_t of_token_;  // logits of each
  const TokenPlaces& places_;
};

}  // namespace

CausalProof prove_causal(const Tape& tape, const Tensor& tokens, const Variable& logits,
                         const Tensor& documents) {
  check(tape.traces(), kName, "needs a tape that traces: Tape tape({{.trace = true}})");
  check_shapes(tokens, logits, documents);
  check_calls(tape);
  check_tokens_read(tape, tokens);
  const TokenPlaces places(tokens.shape(), documents);
  check(places.positions() > 0, kName, "no token belongs to a document: nothing to prove");
  const Search search(tape, tokens, logits, places);
  CausalProof proof{.operations = std::ssize(tape.nodes()),
                    .positions = places.positions(),
                    .documents = places.documents()};
  if (const auto leak = search.find()) {
    proof.leak = search.is_within_document(*leak) ? "behind it" : "of another document";
    proof.path = search.path(*leak);
  }
  return proof;
}

std::string to_string(const CausalProof& proof) {
  const char* const kHolds = "no logit can depend on a token behind it or of another document";
  const std::string leak = fmt::format("{}a logit can depend on a token {}",
                                       proof.on_row ? "on the packed row " : "", proof.leak);
  std::string text =
      fmt::format("{}, {}, {}: {}", count_of(proof.operations, "operation"),
                  count_of(proof.positions, "position"), count_of(proof.documents, "document"),
                  proof.holds()         ? kHolds
                  : !proof.path.empty() ? leak
                                        : "a logit depends on what stands before its document");
  for (const std::string& step : proof.path) text += "\n  " + step;
  if (!proof.restart.empty()) text += "\n  " + proof.restart;
  for (const std::string& what : proof.not_tried) text += "\n  not tried: " + what;
  return text;
}

}  // namespace maskgrad
