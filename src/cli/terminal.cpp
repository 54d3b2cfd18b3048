#include "cli/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/file_writer.h"

namespace diabolo::cli {
namespace {

bool is_dumb() {
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) == "dumb";
}

// A standard error that is closed is no reason to stop.
void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void hold_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int wrong_way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", wrong_way) < 0) open("/", O_PATH);
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      char code[8];
      std::snprintf(code, sizeof code, "\\x%02x", byte);
      out += code;
    }
  }
  return out;
}

bool wants_color(const std::string& choice, int fd) {
  if (choice != "auto") return choice == "always";
  const char* no_color = std::getenv("NO_COLOR");
  return (no_color == nullptr || *no_color == '\0') && !is_dumb() && isatty(fd) == 1;
}

void print_error(std::string_view message, bool is_colored) {
  put(cat(is_colored ? "\033[1;31mdiabolo:\033[0m " : "diabolo: ", printable(message), "\n"));
}

void print_result(std::string_view text) {
  StreamWriter out("-");
  out.write(text);
  out.commit();
}

Terminal::Terminal(const TerminalOptions& options)
    : is_colored_(wants_color(options.color, STDERR_FILENO)),
      can_redraw_(options.progress == "auto" && !options.is_quiet && isatty(STDERR_FILENO) == 1 &&
                  !is_dumb()),
      is_quiet_(options.is_quiet),
      is_verbose_(options.is_verbose),
      is_silent_(options.progress == "none" || options.is_quiet),
      is_plain_(options.progress == "plain") {
  if (is_quiet_ && is_verbose_)
    throw Error(ErrorCode::kUsage, "--quiet and --verbose exclude each other");
}

int Terminal::columns() const {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void Terminal::line(std::string_view text) {
  if (is_quiet_) return;
  const std::lock_guard lock(mutex_);
  put(cat(has_live_line_ ? "\r\033[K" : "", printable(text), "\n"));
  has_live_line_ = false;
}

void Terminal::detail(std::string_view text) {
  if (is_verbose_) line(text);
}

void Terminal::warn(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    warnings_.emplace_back(text);
  }
  line(cat("warning: ", text));
}

std::vector<std::string> Terminal::warnings() {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

void Terminal::live_line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  put(cat("\r\033[K", text));
  has_live_line_ = true;
}

void Terminal::end_live_line() {
  const std::lock_guard lock(mutex_);
  if (has_live_line_) put("\n");
  has_live_line_ = false;
}

Log Terminal::log() {
  return Log([this](LogLevel level, std::string_view text) {
    level == LogLevel::kWarning ? warn(text) : line(text);
  });
}

}  // namespace diabolo::cli
