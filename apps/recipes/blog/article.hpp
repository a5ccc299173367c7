// What the article "Unified Adaptable Masking That Follows" prints, and how runs of other seeds lie
// beside it.
#pragma once

#include <maskgrad/train/report/report.hpp>

namespace maskgrad::apps {

/// The article's loss by epoch, and the band of 12 runs of this program with its mask.
ReferenceCurve article_curve();

}  // namespace maskgrad::apps
