#include "cli/explain_text.hpp"

#include <algorithm>
#include <utility>

#include <maskgrad/tensor/mask/explain.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/report/svg_plot.hpp>
#include <maskgrad/train/run/as_usage.hpp>

#include "cli/attention_picture.hpp"
#include "cli/picture.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

using ops::SeenAttention;

constexpr std::int64_t kLeastColumns = 32;
constexpr std::size_t kMostTextLines = 3;  // of the text that was asked

void check_number(const char* flag, const std::optional<std::int64_t>& number, std::int64_t count) {
  if (!number) return;
  check(count > 0, "usage", "{}: the model has no attention", flag);
  check(*number >= 0 && *number < count, "usage", "{} must be 0 to {}, not {}", flag, count - 1,
        *number);
}

std::int64_t heads_of(const SeenAttention& seen) { return seen.weights.dim(1); }

class Explainer {
 public:
  Explainer(const ExplainedInput& input, const ExplainChoice& choice, const TextLook& look)
      : input_(input), choice_(choice), look_(not_too_narrow(look)), draw_(input, look_) {}

  std::string text() const { return tokens() + masks_and_attention() + work() + answer(); }

 private:
  static TextLook not_too_narrow(TextLook look) {
    look.columns = std::max(look.columns, kLeastColumns);
    return look;
  }

  std::size_t columns() const { return static_cast<std::size_t>(look_.columns); }

  // "" for none.
  std::string sentences(const std::string& text) const {
    std::string all;
    if (text.empty()) return all;
    for (const std::string& line : wrapped(text, columns())) all += line + "\n";
    return all;
  }

  std::string heading(const std::string& text) const {
    std::string all = "\n";
    for (const std::string& line : wrapped(text, columns())) all += draw_.bold(line) + "\n";
    return all;
  }

  // In a few lines, cut anywhere.
  std::string asked() const {
    const std::string whole = one_line(input_.text);
    std::string_view rest = whole;
    std::string text;
    for (std::size_t i = 0; i < kMostTextLines && !rest.empty(); ++i) {
      const std::string line(first_characters(rest, columns()));
      text += draw_.bold(line) + "\n";
      rest.remove_prefix(line.size());
    }
    const auto more = static_cast<std::int64_t>(count_characters(rest));
    if (more == 0) return text;
    return text +
           sentences(fmt::format("... and {}; --out shows all", count_of(more, "more character")));
  }

  std::string tokens() const {
    std::string text = asked() + sentences(about_tokens(input_));
    const std::int64_t each = (look_.columns - 10) / 10 * 10;
    for (std::int64_t first = 0; first < input_.length(); first += each) {
      text += "\n" + draw_.token_rows(first, std::min(first + each, input_.length()));
    }
    const std::string legend = draw_.token_legend();
    return text + (legend.empty() ? "" : sentences(legend));
  }

  // Which of the calls are drawn whole.
  bool draws_all() const {
    return input_.attention.size() == 1 && heads_of(input_.attention.front()) == 1;
  }

  std::string masks_and_attention() const {
    if (input_.attention.empty()) return heading("attention") + "The model has none.\n";
    std::vector<Picture> pictures = mask_pictures();
    std::string text = heading("masks") + mask_sentences() + "\n";
    if (draws_all()) {
      for (Picture& picture : weight_pictures()) pictures.push_back(std::move(picture));
      return text + flow(pictures, columns()) + notes();
    }
    text += flow(pictures, columns());
    const bool is_whole = choice_.layer || choice_.head;
    return text +
           (is_whole ? heading("attention") + flow(weight_pictures(), columns()) : strips()) +
           notes();
  }

  std::string mask_sentences() const {
    const std::vector<MaskInUse> masks = masks_in_use(input_);
    std::string text;
    for (const MaskInUse& mask : masks) {
      const std::string users = mask.users(input_.attention.size()) + ": ";
      text += sentences((masks.size() > 1 ? users : "") + about_mask(mask));
    }
    return text;
  }

  std::vector<Picture> mask_pictures() const {
    std::vector<Picture> pictures;
    for (const MaskInUse& mask : masks_in_use(input_)) {
      pictures.push_back(draw_.mask(mask, mask.users(input_.attention.size())));
    }
    return pictures;
  }

  std::vector<Picture> weight_pictures() const {
    std::vector<Picture> pictures;
    for (std::size_t l = 0; l < input_.attention.size(); ++l) {
      if (choice_.layer && std::cmp_not_equal(*choice_.layer, l)) continue;
      const SeenAttention& seen = input_.attention[l];
      for (std::int64_t h = 0; h < heads_of(seen); ++h) {
        if (!choice_.head || *choice_.head == h) pictures.push_back(draw_.weights(seen, l, h));
      }
    }
    return pictures;
  }

  std::string strips() const {
    const std::int64_t s = choice_.position.value_or(input_.position);
    std::string text = heading(
        fmt::format("what position {} {} attends to, by layer and head", s, draw_.quoted(s)));
    if (s == input_.position && !input_.position_does.empty()) {
      text += sentences(fmt::format("This position {}.", input_.position_does));
    }
    text += draw_.strip_header();
    for (std::size_t l = 0; l < input_.attention.size(); ++l) {
      const SeenAttention& seen = input_.attention[l];
      for (std::int64_t h = 0; h < heads_of(seen); ++h) text += draw_.strip(seen, l, h, s);
    }
    return text + sentences("--layer and --head draw a head whole, --position another position.");
  }

  // What the shades mean, and what cannot be seen.
  std::string notes() const {
    std::string text = cut() + sentences(draw_.legend()) + sentences(about_padding(input_));
    for (const SeenAttention& seen : input_.attention) {
      const std::string bias = about_bias(seen);
      if (!bias.empty()) text += sentences(one_line(seen.layer) + ": " + bias);
    }
    return text;
  }

  // Where the rest of pictures that show their last positions alone is to be seen.
  std::string cut() const {
    const std::int64_t most = input_.most_positions();
    if (!draw_.cuts(most)) return "";
    return sentences(most > kMostDrawnPositions
                         ? fmt::format("Not all {} positions fit here: --out draws {} of them, "
                                       "and --json writes the weights of all.",
                                       most, kMostDrawnPositions)
                         : fmt::format("Not all {} positions fit here: --out draws all.", most));
  }

  std::string work() const {
    if (input_.attention.empty()) return "";
    std::vector<std::vector<std::string>> rows = {
        {"layer", "kept", "of", "share", "computed", "done", "saved"}};
    for (std::size_t l = 0; l < input_.attention.size(); ++l) {
      std::vector<std::string>& row = rows.emplace_back();
      row.push_back(fmt::format("layer {} {}", l, draw_.layer_name(l)));
      for (std::string& cell : work_cells(input_.attention[l])) row.push_back(std::move(cell));
    }
    std::string text = heading("pairs of queries and keys, and multiply-adds in attention") +
                       format_table(rows, static_cast<int>(look_.columns));
    for (const std::string& line : about_work(input_)) text += sentences(line);
    return text;
  }

  std::string answer() const {
    std::string text = heading(input_.answers_are);
    for (std::string steps = one_line(input_.steps); !steps.empty();) {
      const std::string line(first_characters(steps, columns()));
      text += line + "\n";
      steps.erase(0, line.size());
    }
    std::string line;
    for (const auto& [answer, probability] : input_.answers) {
      const std::string one = fmt::format("{}  {:.4f}", one_line(answer), probability);
      if (!line.empty() && shown_width(line + ", " + one + ",") > columns()) {
        text += std::exchange(line, {}) + ",\n";
      }
      line += (line.empty() ? "" : ", ") + one;
    }
    return text + line + "\n";
  }

  const ExplainedInput& input_;
  ExplainChoice choice_;
  TextLook look_;
  AttentionPicture draw_;
};

}  // namespace

void check_choice(const ExplainedInput& input, const ExplainChoice& choice) {
  as_usage([&] {
    check(!choice.position || (!choice.layer && !choice.head), "usage",
          "--position tells of all layers and heads, and does not go with --layer or --head");
    check_number("--layer", choice.layer, std::ssize(input.attention));
    std::int64_t heads = 0;
    for (std::size_t l = 0; l < input.attention.size(); ++l) {
      if (choice.layer && std::cmp_not_equal(*choice.layer, l)) continue;
      heads = std::max(heads, heads_of(input.attention[l]));
    }
    check_number("--head", choice.head, heads);
    check_number("--position", choice.position, input.length());
  });
}

std::string explain_as_text(const ExplainedInput& input, const ExplainChoice& choice,
                            const TextLook& look) {
  return Explainer(input, choice, look).text();
}

}  // namespace maskgrad::apps
