#include "capi/status.h"

#include <array>
#include <new>
#include <optional>
#include <string>

#include "base/error.h"

namespace diabolo::capi {

namespace {

struct StatusText {
  ErrorCode code;
  diabolo_status status;
  const char* text;
};

constexpr std::array kStatuses = {
    StatusText{ErrorCode::kOk, DIABOLO_OK, "ok"},
    StatusText{ErrorCode::kFailure, DIABOLO_FAILURE, "failure"},
    StatusText{ErrorCode::kUsage, DIABOLO_USAGE, "usage"},
    StatusText{ErrorCode::kData, DIABOLO_DATA, "bad or missing data"},
    StatusText{ErrorCode::kModel, DIABOLO_MODEL, "bad or missing model"},
    StatusText{ErrorCode::kResource, DIABOLO_RESOURCE, "out of memory or disk"},
    StatusText{ErrorCode::kDevice, DIABOLO_DEVICE, "device or driver"},
    StatusText{ErrorCode::kDiverged, DIABOLO_DIVERGED, "training diverged"},
    StatusText{ErrorCode::kBusy, DIABOLO_BUSY, "busy"},
    StatusText{ErrorCode::kStale, DIABOLO_STALE, "unfinished work in the way"},
    StatusText{ErrorCode::kInterrupted, DIABOLO_INTERRUPTED, "interrupted"},
    StatusText{ErrorCode::kClosedPipe, DIABOLO_CLOSED_PIPE, "closed pipe"},
    StatusText{ErrorCode::kTerminated, DIABOLO_TERMINATED, "terminated"},
};

constexpr bool numbers_agree() {
  for (const StatusText& entry : kStatuses)
    if (static_cast<int>(entry.code) != entry.status) return false;
  return true;
}
static_assert(numbers_agree(), "a status is the number of its error code");

thread_local std::string last_error;
thread_local std::optional<DataPosition> last_position;

diabolo_status keep(diabolo_status status, const char* function, const char* what,
                    const std::optional<DataPosition>& position = {}) noexcept {
  last_position = position;
  try {
    last_error = cat(function, ": ", what);
  } catch (...) {
    last_error.clear();  // no memory for the text; the status still says what it was
  }
  return status;
}

}  // namespace

diabolo_status status_of_current_exception(const char* function) noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return keep(static_cast<diabolo_status>(error.code()), function, error.what(),
                error.position());
  } catch (const std::bad_alloc&) {
    return keep(DIABOLO_RESOURCE, function, "out of memory");
  } catch (const std::exception& error) {
    return keep(DIABOLO_FAILURE, function, error.what());
  } catch (...) {
    return keep(DIABOLO_FAILURE, function, "an exception of unknown type");
  }
}

}  // namespace diabolo::capi

const char* diabolo_status_text(diabolo_status status) {
  for (const diabolo::capi::StatusText& entry : diabolo::capi::kStatuses)
    if (entry.status == status) return entry.text;
  return "unknown status";
}

const char* diabolo_last_error(void) {
  return diabolo::capi::last_error.c_str();
}

int32_t diabolo_last_error_position(uint64_t* row, uint64_t* column) {
  const auto& position = diabolo::capi::last_position;
  if (!position) return 0;
  if (row) *row = position->row;
  if (column) *column = position->column;
  return 1;
}
