// Error codes as people and scripts read them: one table for the command and the C ABI.
#pragma once

#include <array>

#include "base/error.h"

namespace diabolo {

struct ErrorName {
  ErrorCode code;
  const char* name;  // in JSON
  const char* text;  // diabolo_status_text
};

inline constexpr std::array kErrorNames = {
    ErrorName{ErrorCode::kOk, "ok", "ok"},
    ErrorName{ErrorCode::kFailure, "failure", "failure"},
    ErrorName{ErrorCode::kUsage, "usage", "usage"},
    ErrorName{ErrorCode::kData, "data", "bad or missing data"},
    ErrorName{ErrorCode::kModel, "model", "bad or missing model"},
    ErrorName{ErrorCode::kResource, "resource", "out of memory or disk"},
    ErrorName{ErrorCode::kDevice, "device", "device or driver"},
    ErrorName{ErrorCode::kDiverged, "diverged", "training diverged"},
    ErrorName{ErrorCode::kBusy, "busy", "busy"},
    ErrorName{ErrorCode::kStale, "stale", "unfinished work in the way"},
    ErrorName{ErrorCode::kInterrupted, "interrupted", "interrupted"},
    ErrorName{ErrorCode::kClosedPipe, "closed_pipe", "closed pipe"},
    ErrorName{ErrorCode::kTerminated, "terminated", "terminated"},
};

}  // namespace diabolo
