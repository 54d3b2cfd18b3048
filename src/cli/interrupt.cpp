#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace diabolo::cli {
namespace {

std::atomic<int> requested_signal = 0;
std::atomic<bool> is_polled = false;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_stop_signal(int signal) {
  if (!is_polled.load() || requested_signal.exchange(signal) != 0) _exit(128 + signal);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction stop {};
  stop.sa_handler = on_stop_signal;
  stop.sa_flags = SA_RESTART;
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool stop_is_requested() {
  is_polled.store(true);
  return requested_signal.load() != 0;
}

ErrorCode stop_code() {
  return requested_signal.load() == SIGTERM ? ErrorCode::kTerminated : ErrorCode::kInterrupted;
}

}  // namespace diabolo::cli
