// The two lanes of failure that travel as exceptions: a user's or the environment's (Error) and our
// own bug (InternalError). The third lane, a kernel that refuses a call, is a value (ops/op.h).
#pragma once

#include <cstdint>
#include <locale>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace diabolo {

// The numbers are the exit codes of the command and the status codes of the C ABI.
enum class ErrorCode : int {
  kOk = 0,
  kFailure = 1,        // anything without a code of its own, and bugs
  kUsage = 2,          // wrong options or arguments
  kData = 3,           // bad or missing input data, read errors
  kModel = 4,          // bad or missing model or checkpoint
  kResource = 5,       // out of memory or disk, write errors
  kDevice = 6,         // device or driver
  kDiverged = 7,       // training produced a loss that is not finite
  kBusy = 8,           // another process is writing there: the same again later may succeed
  kStale = 9,          // unfinished work of another model, input or options is in the way
  kInterrupted = 130,  // SIGINT, or cancelled by a callback
  kClosedPipe = 141,   // the reader of our output went away
  kTerminated = 143,   // SIGTERM
};

// A number of a data set; both count from 0.
struct DataPosition {
  uint64_t row = 0, column = 0;
  bool operator==(const DataPosition&) const = default;
};

// A failure that the user can act on. The message is one line: object, expected, found, what to do.
// Where it is about one number of the data, the position says which.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::optional<DataPosition> position = {})
      : std::runtime_error(message), code_(code), position_(position) {}
  ErrorCode code() const { return code_; }
  const std::optional<DataPosition>& position() const { return position_; }

 private:
  ErrorCode code_;
  std::optional<DataPosition> position_;
};

// A broken promise inside diabolo. Callers cannot do anything about it but report it.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Joins its arguments as text: cat("row ", 7) == "row 7". In the C locale: the text also goes into
// files, and the program around us may write numbers in another way.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << parts);
  return out.str();
}

[[noreturn]] void fail_check(const char* expression, const char* file, int line,
                             const std::string& detail);

}  // namespace diabolo

// Throws InternalError with the expression, the place and the values given after it.
#define DIABOLO_CHECK(condition, ...)                                                     \
  do {                                                                                    \
    if (!(condition))                                                                     \
      ::diabolo::fail_check(#condition, __FILE__, __LINE__, ::diabolo::cat(__VA_ARGS__)); \
  } while (false)
