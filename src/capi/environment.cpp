#include "capi/environment.h"

#include <pthread.h>
#include <time.h>

namespace diabolo::capi {

namespace {

thread_local const LibraryEnvironment* innermost = nullptr;

// Null where there is no memory for it; then the thread keeps its locale.
locale_t c_locale() {
  static const locale_t locale = newlocale(LC_ALL_MASK, "C", nullptr);
  return locale;
}

sigset_t pipe_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

bool is_pipe_signal_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

LibraryEnvironment::LibraryEnvironment() : outer_(innermost) {
  std::fegetenv(&float_before_);
  std::fesetenv(FE_DFL_ENV);
  locale_before_ = uselocale(c_locale());
  innermost = this;
}

LibraryEnvironment::~LibraryEnvironment() {
  innermost = outer_;
  uselocale(locale_before_);
  std::fesetenv(&float_before_);
}

CallerEnvironment::CallerEnvironment() {
  if (!innermost) return;
  std::fegetenv(&float_before_);
  std::fesetenv(&innermost->float_before_);
  locale_before_ = uselocale(innermost->locale_before_);
}

CallerEnvironment::~CallerEnvironment() {
  if (!locale_before_) return;
  uselocale(locale_before_);
  std::fesetenv(&float_before_);
}

PipeSignalHeld::PipeSignalHeld() : was_pending_(is_pipe_signal_pending()) {
  const sigset_t pipe = pipe_signal();
  pthread_sigmask(SIG_BLOCK, &pipe, &mask_before_);
}

// The signal that a write of ours has raised meanwhile is taken, nobody else's.
PipeSignalHeld::~PipeSignalHeld() {
  const sigset_t pipe = pipe_signal();
  const timespec no_wait{};
  if (!was_pending_ && is_pipe_signal_pending()) sigtimedwait(&pipe, nullptr, &no_wait);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

}  // namespace diabolo::capi
