#include "cli/interrupt.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>

namespace diabolo::cli {
namespace {

// One request may come as two signals: timeout(1) sends its own to the process and to its group.
constexpr int64_t kSameRequestMs = 500;

std::atomic<int> requested_signal = 0;
std::atomic<int64_t> requested_ms = 0;
std::atomic<bool> is_polled = false;
std::atomic<bool> has_file = false;
char file_to_remove[4096] = {};

// What a signal that ends the process writes; read only where has_text says that it is whole.
struct StopText {
  char bytes[512] = {};
  size_t size = 0;
};
StopText text_at_interrupt, text_at_terminate;
std::atomic<bool> has_text = false;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free &&
              std::atomic<int64_t>::is_always_lock_free);

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

[[noreturn]] void end_at_once(int signal) {
  const StopText& text = signal == SIGINT ? text_at_interrupt : text_at_terminate;
  if (has_text.load() && write(STDOUT_FILENO, text.bytes, text.size) < 0) _exit(128 + signal);
  _exit(128 + signal);
}

void set(StopText& target, const std::string& text) {
  target.size = text.size() <= sizeof target.bytes ? text.size() : 0;
  std::memcpy(target.bytes, text.data(), target.size);
}

extern "C" void on_stop_signal(int signal) {
  if (!is_polled.load()) {
    if (has_file.load()) unlink(file_to_remove);
    end_at_once(signal);
  }
  const int64_t now = now_ms();
  int64_t earlier = 0;
  if (requested_ms.compare_exchange_strong(earlier, now)) {
    requested_signal.store(signal);
  } else if (now - earlier > kSameRequestMs) {
    end_at_once(signal);
  }
}

}  // namespace

void install_signal_handlers() {
  struct sigaction stop {};
  stop.sa_handler = on_stop_signal;
  stop.sa_flags = SA_RESTART;
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  // A write that fails says why itself.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

void remove_on_stop(const std::string& path) {
  if (has_file.load() || path.size() >= sizeof file_to_remove) return;
  std::memcpy(file_to_remove, path.c_str(), path.size() + 1);
  has_file.store(true);
}

void print_on_stop(const std::string& at_interrupt, const std::string& at_terminate) {
  has_text.store(false);
  set(text_at_interrupt, at_interrupt);
  set(text_at_terminate, at_terminate);
  has_text.store(!at_interrupt.empty() || !at_terminate.empty());
}

bool stop_is_requested() {
  is_polled.store(true);
  return requested_signal.load() != 0;
}

ErrorCode stop_code() {
  return requested_signal.load() == SIGTERM ? ErrorCode::kTerminated : ErrorCode::kInterrupted;
}

}  // namespace diabolo::cli
