// SIGINT and SIGTERM. As long as there is nothing to save they end the process at once; once a
// command polls, the first asks it to stop and another, half a second later or more, ends the
// process at once.
#pragma once

#include <string>

#include "base/error.h"

namespace diabolo::cli {

// Installs the handlers and ignores SIGPIPE, whose place an error of write takes. Call once.
void install_signal_handlers();

// Whether a signal asked to stop. From the first call on, signals wait to be polled.
bool stop_is_requested();

// A signal that ends the process at once removes this file first: work that nothing could continue.
// At most one; a path that is too long to be kept stays.
void remove_on_stop(const std::string& path);

// A signal that ends the process at once writes the text for SIGINT or SIGTERM, of at most some
// hundred bytes, to standard output; empty: nothing.
void print_on_stop(const std::string& at_interrupt, const std::string& at_terminate);

// kInterrupted or kTerminated, by the signal that asked.
ErrorCode stop_code();

}  // namespace diabolo::cli
