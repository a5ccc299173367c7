#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/model_chart.hpp>
#include <maskgrad/train/report/model_outline.hpp>

namespace maskgrad {
namespace {

std::string sizes(const GraphDims& dims) {
  std::vector<std::string> texts;
  for (const std::int64_t size : dims) texts.push_back(size < 0 ? "B" : std::to_string(size));
  return dims.empty() ? "one number" : fmt::format("{}", fmt::join(texts, " × "));
}

std::string parameters_in(std::int64_t count) { return count_of(count, "parameter"); }

std::string parameters_text(const OutlineBox& box) {
  if (box.parameter_count == 0) return "";
  std::vector<std::string> own;
  for (const auto& [name, dims] : box.parameters) own.push_back(name + " " + sizes(dims));
  return fmt::format("<small>{}{}{}</small>\n", parameters_in(box.parameter_count),
                     own.empty() ? "" : ": ", escape_html(fmt::format("{}", fmt::join(own, ", "))));
}

// What the model does there with masks. To pass one on is the rule, and the line shows it.
std::string badges(const OutlineBox& box) {
  std::string text;
  if (!box.mask.empty() && box.mask != "keeps" && (!box.mask_in.empty() || !box.mask_out.empty())) {
    text += fmt::format("<i>{} the mask</i>", escape_html(box.mask));
  }
  for (const std::string& pairs : box.pairs) {
    text += fmt::format("<i>{}</i>", escape_html(pairs.empty() ? "pairs" : pairs + " pairs"));
  }
  return text;
}

// Where the line of the mask begins and ends beside a box, and whether it has a knot there.
std::string rail_of(const OutlineBox& box) {
  std::string rail = box.mask_in.empty() ? "" : " above";
  if (!box.mask_out.empty()) rail += " below";
  const bool only_passes = box.mask == "keeps" || box.mask.empty();
  return rail.empty() || only_passes ? rail : rail + " knot";
}

std::string line_of(const char* begin, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  return fmt::format("<small>{}{}</small>\n", begin,
                     escape_html(fmt::format("{}", fmt::join(names, ", "))));
}

std::string operations_text(const OutlineBox& box) {
  std::vector<std::string> names;
  for (const OutlineBox& part : box.inside) names.push_back(part.kind);
  return line_of("", names);
}

bool has_layers(const OutlineBox& box) {
  return std::ranges::any_of(box.inside, &OutlineBox::is_layer);
}

bool is_alike(const OutlineBox& a, const OutlineBox& b) {
  return a.is_layer && a.kind == b.kind && a.parameter_count == b.parameter_count &&
         a.output == b.output && a.mask == b.mask && a.inside.size() == b.inside.size();
}

std::string flow(const std::vector<OutlineBox>& boxes, int depth);

std::string label(const OutlineBox& box) {
  const std::string kind =
      box.name == box.kind ? "" : " <span>" + escape_html(box.kind) + "</span>";
  return fmt::format("<b>{}</b>{}{}", escape_html(box.name),
                     box.kind == "Placeholder" ? " <span>of the batch</span>" : kind, badges(box));
}

std::string drawn(const OutlineBox& box, int depth) {
  const std::string also = line_of(box.reads_before ? "also reads " : "reads ", box.others) +
                           line_of("constants: ", box.constants);
  std::string body;
  if (has_layers(box)) {
    body = fmt::format("<details{}>\n<summary>{}</summary>\n{}{}{}</details>\n",
                       depth == 0 ? " open=\"\"" : "", label(box), parameters_text(box), also,
                       flow(box.inside, depth + 1));
  } else {
    body = fmt::format("<div class=\"{}\">{}\n{}{}{}</div>\n", box.is_layer ? "layer" : "op",
                       label(box), parameters_text(box), operations_text(box), also);
  }
  return fmt::format("<li class=\"{}\">{}<div class=\"sizes\">{}</div>\n</li>\n",
                     "step" + rail_of(box), body, sizes(box.output));
}

// Of many layers that are alike the first one is drawn.
std::string flow(const std::vector<OutlineBox>& boxes, int depth) {
  constexpr std::ptrdiff_t kMany = 4;
  std::string text = "<ol class=\"flow\">\n";
  for (auto box = boxes.begin(); box != boxes.end();) {
    const auto end =
        std::find_if_not(box, boxes.end(), [&](const OutlineBox& b) { return is_alike(*box, b); });
    text += drawn(*box, depth);
    if (end - box <= kMany) {
      ++box;
      continue;
    }
    text += fmt::format(
        "<li class=\"step{}\"><div class=\"op\">{} to {}: {} more like {}</div>"
        "<div class=\"sizes\">{}</div>\n</li>\n",
        rail_of(*box), escape_html(std::next(box)->name), escape_html(std::prev(end)->name),
        end - box - 1, escape_html(box->name), sizes(box->output));
    box = end;
  }
  return text + "</ol>\n";
}

std::string chart(const ModelGraph& graph, const std::string& names) {
  const std::vector<OutlineBox> boxes = outline_of(graph);
  const std::int64_t layers = std::ranges::count_if(boxes, &OutlineBox::is_layer);
  return fmt::format(
      "<div class=\"card model\">\n<h3>{}</h3>\n<p class=\"note\">{}, {}</p>\n{}"
      "</div>\n",
      escape_html(names), count_of(layers, "layer"), parameters_in(parameter_count(graph)),
      flow(boxes, 0));
}

}  // namespace

std::string model_charts(const ReportContent& content) {
  std::vector<std::pair<std::string, const ModelGraph*>> drawn;
  std::vector<std::string> names;
  for (const ReportRun& run : content.runs) {
    if (run.graph.nodes.empty()) continue;
    const std::string bytes = encode(run.graph);
    const auto same =
        std::ranges::find(drawn, bytes, &std::pair<std::string, const ModelGraph*>::first);
    if (same == drawn.end()) {
      drawn.emplace_back(bytes, &run.graph);
      names.push_back(run.name);
    } else {
      names[static_cast<std::size_t>(same - drawn.begin())] += ", " + run.name;
    }
  }
  if (drawn.empty()) return "";
  std::string charts;
  for (std::size_t i = 0; i < drawn.size(); ++i) charts += chart(*drawn[i].second, names[i]);
  return "<p class=\"note\">What the model computes, from top to bottom. The sizes of each output "
         "stand below it. B is the size of a batch. Lengths of sequences are those of one batch, "
         "and others may have others. The coloured line is the mask. A knot tells "
         "where it is made, used, changed or ended. TensorBoard shows every operation.</p>\n<div "
         "class=\"grid-of-models\">\n" +
         charts + "</div>\n";
}

std::string_view model_chart_style() {
  return R"css(.grid-of-models{display:grid;gap:18px;align-items:start;
grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}
.model{--line:var(--c1)}.model h3{margin:0;overflow-wrap:anywhere}
.flow{list-style:none;margin:0;padding:0;max-width:560px}
.step{position:relative;padding-left:26px}
.step::before{content:"";position:absolute;left:9px;width:4px;background:var(--line);display:none}
.step.above::before,.step.below::before{display:block;top:0;bottom:0}
.step.above:not(.below)::before{bottom:auto;height:22px}
.step.below:not(.above)::before{top:22px}
.step.knot::after{content:"";position:absolute;left:4px;top:14px;width:14px;height:14px;
border-radius:50%;background:var(--surface);border:4px solid var(--line)}
.flow .layer,.flow .op,.flow details{border:1px solid var(--edge);border-radius:8px;margin:0;
padding:8px 12px;background:var(--surface);overflow-wrap:anywhere;line-height:1.4}
.flow .layer,.flow details{border-color:var(--soft)}
.flow .op{border-style:dashed}
.flow b+span,.flow summary b+span{color:var(--soft);font-weight:400;margin-left:.3em}
.flow i{font-style:normal;font-size:.8rem;font-weight:500;color:var(--line);white-space:nowrap;
border:1px solid var(--line);border-radius:9px;padding:0 .5em;margin-left:.5em}
.flow small{display:block;color:var(--soft)}
.sizes{color:var(--soft);font-size:.85rem;padding:1px 0 1px 14px;
font-variant-numeric:tabular-nums}
.sizes::before{content:"\2193\00a0"}
.flow details>.flow{margin-top:8px}
)css";
}

}  // namespace maskgrad
