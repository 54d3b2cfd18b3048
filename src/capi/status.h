// From exceptions to status codes: the one place where every call of the C interface begins.
#pragma once

#include <cxxabi.h>

#include "capi/environment.h"
#include "diabolo/diabolo.h"

namespace diabolo::capi {

// For use in a catch block: keeps what the exception says as this thread's last error, after the
// name of the function, and returns its status.
diabolo_status status_of_current_exception(const char* function) noexcept;

// Runs the body of an exported function in the library's environment. Nothing comes out of it but a
// status; only the cancellation of the calling thread, which must not be stopped, passes through.
template <class Body>
diabolo_status guarded(const char* function, const Body& body) {
  const LibraryEnvironment environment;
  try {
    body();
    return DIABOLO_OK;
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return status_of_current_exception(function);
  }
}

}  // namespace diabolo::capi
