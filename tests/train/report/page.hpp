// Reports in tests, as sound markup.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/train/report/report.hpp>

#include "support/markup.hpp"

namespace maskgrad::test {

inline std::string page_of(const std::vector<ReportRun>& runs,
                           const std::vector<ReferenceCurve>& references = {}) {
  const std::string page = render_report("Runs", runs, references);
  EXPECT_EQ(MarkupReader(page).fault(), "");
  return page;
}

}  // namespace maskgrad::test
