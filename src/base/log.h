// Messages from the library, which itself prints nothing: whoever calls it decides where they go.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace diabolo {

enum class LogLevel { kInfo = 1, kWarning = 2 };

// Receives one line without a newline. May be called from several threads at once.
using LogSink = std::function<void(LogLevel level, std::string_view line)>;

// Where messages go; a value that is passed around. The default one drops them.
class Log {
 public:
  Log() = default;
  explicit Log(LogSink sink) : sink_(std::move(sink)) {}

  template <class... Parts>
  void info(const Parts&... parts) const {
    write(LogLevel::kInfo, parts...);
  }
  template <class... Parts>
  void warning(const Parts&... parts) const {
    write(LogLevel::kWarning, parts...);
  }

 private:
  template <class... Parts>
  void write(LogLevel level, const Parts&... parts) const {
    if (sink_) sink_(level, cat(parts...));
  }

  LogSink sink_;
};

}  // namespace diabolo
