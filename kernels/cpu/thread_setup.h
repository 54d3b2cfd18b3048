// Settings of a thread that runs kernels, and of its OpenMP team. Made by the thread itself, at the
// start of its life or around a call; the destructor, on the same thread, puts back what it found.
#pragma once

#include <memory>

namespace diabolo::kernels::cpu {

enum class Pinning { kOff, kOn };

// Threads that a team may have at most: OMP_THREAD_LIMIT, INT_MAX where nothing limits it.
int largest_team();

// For a worker thread of our own: `threads` OpenMP threads, with pinning on each on a core of its
// own out of the process's affinity mask (not pinned if the mask has fewer; the next worker takes
// the next cores), denormals flushed to zero in results and read as zero in all of them. What the
// environment says about the size of teams (OMP_DYNAMIC, OMP_MAX_ACTIVE_LEVELS) does not count:
// kernels are prepared for a number of threads, and with fewer a part of their work is left undone.
class WorkerSetup {
 public:
  explicit WorkerSetup(int threads, Pinning pinning = Pinning::kOn);
  ~WorkerSetup();
  WorkerSetup(const WorkerSetup&) = delete;
  WorkerSetup& operator=(const WorkerSetup&) = delete;

  // Whether the team has all its threads.
  bool is_whole() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// For work inside a call on a caller's thread: one OpenMP thread, denormals flushed in it.
// Allocates nothing.
class CallerSetup {
 public:
  CallerSetup();
  ~CallerSetup();
  CallerSetup(const CallerSetup&) = delete;
  CallerSetup& operator=(const CallerSetup&) = delete;

 private:
  unsigned mode_before_;
  int threads_before_;
};

}  // namespace diabolo::kernels::cpu
