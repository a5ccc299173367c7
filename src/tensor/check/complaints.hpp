// What a check of an operation finds wrong. Internal to src/tensor/check.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace maskgrad::check_detail {

/// Complaints, the first of each kind: one mistake shows at many places, and with many numbers.
class Complaints {
 public:
  void add(const std::string& kind, const std::string& text) { by_kind_.try_emplace(kind, text); }
  /// A kind of its own.
  void add(const std::string& text) { add(text, text); }

  /// In the order of their kinds.
  std::vector<std::string> texts() const {
    std::vector<std::string> texts;
    for (const auto& [kind, text] : by_kind_) texts.push_back(text);
    return texts;
  }

 private:
  std::map<std::string, std::string> by_kind_;
};

}  // namespace maskgrad::check_detail
