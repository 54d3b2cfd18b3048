#include "capi/status.h"

#include <new>
#include <optional>
#include <string>

#include "base/error_names.h"

namespace diabolo::capi {

namespace {

constexpr bool agree(ErrorCode code, diabolo_status status) {
  return static_cast<int>(code) == status;
}
static_assert(agree(ErrorCode::kOk, DIABOLO_OK) && agree(ErrorCode::kFailure, DIABOLO_FAILURE) &&
                  agree(ErrorCode::kUsage, DIABOLO_USAGE) &&
                  agree(ErrorCode::kData, DIABOLO_DATA) &&
                  agree(ErrorCode::kModel, DIABOLO_MODEL) &&
                  agree(ErrorCode::kResource, DIABOLO_RESOURCE) &&
                  agree(ErrorCode::kDevice, DIABOLO_DEVICE) &&
                  agree(ErrorCode::kDiverged, DIABOLO_DIVERGED) &&
                  agree(ErrorCode::kBusy, DIABOLO_BUSY) &&
                  agree(ErrorCode::kStale, DIABOLO_STALE) &&
                  agree(ErrorCode::kInterrupted, DIABOLO_INTERRUPTED) &&
                  agree(ErrorCode::kClosedPipe, DIABOLO_CLOSED_PIPE) &&
                  agree(ErrorCode::kTerminated, DIABOLO_TERMINATED),
              "a status is the number of its error code");

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
  for (const diabolo::ErrorName& entry : diabolo::kErrorNames)
    if (static_cast<int>(entry.code) == status) return entry.text;
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
