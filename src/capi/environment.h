// What the library does to the thread that calls it, and undoes before it returns.
#pragma once

#include <locale.h>
#include <signal.h>

#include <cfenv>

namespace diabolo::capi {

// While it lives the calling thread computes and reads numbers as the library expects: no
// floating-point traps, round to nearest, C locale. The destructor puts back what was there, the
// exception flags included.
class LibraryEnvironment {
 public:
  LibraryEnvironment();
  ~LibraryEnvironment();
  LibraryEnvironment(const LibraryEnvironment&) = delete;
  LibraryEnvironment& operator=(const LibraryEnvironment&) = delete;

 private:
  std::fenv_t float_before_;
  locale_t locale_before_;
  const LibraryEnvironment* outer_;

  friend class CallerEnvironment;
};

// The other way round, for a callback: while it lives, a thread within a LibraryEnvironment has its
// own environment again. In other threads it changes nothing.
class CallerEnvironment {
 public:
  CallerEnvironment();
  ~CallerEnvironment();
  CallerEnvironment(const CallerEnvironment&) = delete;
  CallerEnvironment& operator=(const CallerEnvironment&) = delete;

 private:
  std::fenv_t float_before_;
  locale_t locale_before_ = nullptr;
};

// While it lives, writing to a pipe without a reader is an error like any other in this thread, not
// a signal that ends the process.
class PipeSignalHeld {
 public:
  PipeSignalHeld();
  ~PipeSignalHeld();
  PipeSignalHeld(const PipeSignalHeld&) = delete;
  PipeSignalHeld& operator=(const PipeSignalHeld&) = delete;

 private:
  sigset_t mask_before_;
  bool was_pending_ = false;
};

}  // namespace diabolo::capi
