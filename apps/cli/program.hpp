// How the program was called, for commands that a person can paste.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace maskgrad::apps {

/// Keeps what the program was called by, argv[0]; null or empty: "maskgrad".
void set_program(const char* called);

/// The program as one word for a shell: "maskgrad", or "build/maskgrad" where it was called so.
const std::string& program_word();

/// "Example: maskgrad report runs", with the program as it was called, and further commands below.
std::string examples(std::initializer_list<std::string_view> commands);

}  // namespace maskgrad::apps
