#include "base/error.h"

namespace diabolo {

void fail_check(const char* expression, const char* file, int line, const std::string& detail) {
  std::string text = cat("internal error: ", expression, " does not hold at ", file, ":", line);
  if (!detail.empty()) text += cat(" (", detail, ")");
  throw InternalError(text);
}

}  // namespace diabolo
