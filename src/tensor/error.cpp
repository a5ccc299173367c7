#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n')
      line += "\\n";
    else if (c == '\t')
      line += "\\t";
    else if (c == '\r')
      line += "\\r";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      line += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    else
      line += c;
  }
  return line;
}

std::string in_layer(std::string_view text) {
  const std::string path = Scope::path();
  const bool is_named = path.empty() || text.find("layer '") != std::string_view::npos;
  return is_named ? std::string(text) : fmt::format("in layer '{}': {}", path, text);
}

}  // namespace

Error::Error(std::string_view name, std::string_view text)
    : std::runtime_error(fmt::format("[{}] {}", one_line(name), one_line(in_layer(text)))),
      name_size_(one_line(name).size()),
      text_size_(std::string_view(what()).size() - name_size_ - 3) {}

}  // namespace maskgrad
