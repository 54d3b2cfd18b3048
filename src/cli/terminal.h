// Where the command writes: results to standard output, everything else to standard error.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace diabolo::cli {

// Gives standard streams that are closed a descriptor that refuses to be read and written, so that
// no file that is opened later takes their number and receives what was meant for them.
void hold_closed_streams();

// Text that may hold anything, as one line that a terminal can show: control characters as \xNN.
std::string printable(std::string_view text);

// "auto", "always" or "never". auto: a terminal that is not "dumb", and NO_COLOR is not set.
bool wants_color(const std::string& choice, int fd);

// "diabolo: MESSAGE" on standard error.
void print_error(std::string_view message, bool is_colored);

// The result, on standard output. Throws Error{kClosedPipe} or Error{kResource}.
void print_result(std::string_view text);

// --progress --color --quiet --verbose
struct TerminalOptions {
  std::string progress = "auto";
  std::string color = "auto";
  bool is_quiet = false, is_verbose = false;
};

// Standard error as lines, of which the last one may be redrawn; with --quiet nothing goes there.
// Thread-safe.
class Terminal {
 public:
  // Throws Error{kUsage} for --quiet with --verbose.
  explicit Terminal(const TerminalOptions& options);
  ~Terminal() { end_live_line(); }
  Terminal(Terminal&&) = delete;

  bool is_colored() const { return is_colored_; }
  bool can_redraw() const { return can_redraw_; }
  bool is_silent() const { return is_silent_; }  // --progress none, --quiet
  bool is_plain() const { return is_plain_; }    // --progress plain
  int columns() const;

  void line(std::string_view text);
  void detail(std::string_view text);     // a line, with --verbose only
  void warn(std::string_view text);       // "warning: TEXT"
  void live_line(std::string_view text);  // replaces the one before
  void end_live_line();                   // what stands there stays
  Log log();                              // information and warnings as lines
  std::vector<std::string> warnings();    // so far, those that --quiet kept back among them

 private:
  std::mutex mutex_;
  bool is_colored_, can_redraw_, is_quiet_, is_verbose_, is_silent_, is_plain_;
  bool has_live_line_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace diabolo::cli
