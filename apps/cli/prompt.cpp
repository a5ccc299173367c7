#include "cli/prompt.hpp"

#include <clocale>
#include <cstdio>

#include "cli/input.hpp"
#include "cli/output.hpp"
#include "cli/terminal.hpp"

#if MASKGRAD_LIBEDIT
#include <histedit.h>
#endif

namespace maskgrad::apps {
namespace {

constexpr const char* kPrompt = "> ";

}  // namespace

class Prompt::Reader {
 public:
  virtual ~Reader() = default;
  virtual bool next(std::string& line) = 0;
};

// Leaves the line to the terminal, which knows Backspace and no more.
class Prompt::PlainReader : public Reader {
 public:
  bool next(std::string& line) override {
    write_message(kPrompt);
    return lines_.next(line);
  }

 private:
  InputLines lines_;
};

#if MASKGRAD_LIBEDIT
class Prompt::EditingReader : public Reader {
 public:
  EditingReader() {
    std::setlocale(LC_CTYPE, "");  // for characters of several bytes
    history(history_, &event_, H_SETSIZE, 1000);
    history(history_, &event_, H_SETUNIQUE, 1);
    el_set(
        editor_, EL_PROMPT, +[](EditLine*) { return const_cast<char*>(kPrompt); });
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_SIGNAL, 1);  // Ctrl-C must find the terminal as it was
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(editor_, nullptr);  // ~/.editrc, where a person has one
  }
  ~EditingReader() override {
    el_end(editor_);
    history_end(history_);
  }
  EditingReader(const EditingReader&) = delete;
  EditingReader& operator=(const EditingReader&) = delete;

  bool next(std::string& line) override {
    int size = 0;
    const char* const text = el_gets(editor_, &size);
    if (!text || size <= 0) return false;
    line.assign(text, static_cast<std::size_t>(size));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    if (!line.empty()) history(history_, &event_, H_ENTER, line.c_str());
    return true;
  }

 private:
  EditLine* editor_ = el_init("maskgrad", stdin, stderr, stderr);
  History* history_ = history_init();
  HistEvent event_{};
};
#endif

Prompt::Prompt() : reader_(std::make_unique<PlainReader>()) {
#if MASKGRAD_LIBEDIT
  if (has_terminal()) reader_ = std::make_unique<EditingReader>();
#endif
}

Prompt::~Prompt() = default;

bool Prompt::next(std::string& line) {
  if (!reader_->next(line)) {
    write_message("\n");
    return false;
  }
  return line != "quit" && line != "exit";
}

}  // namespace maskgrad::apps
