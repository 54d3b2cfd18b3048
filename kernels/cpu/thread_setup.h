// Settings of a thread that runs kernels, and of those that help it. Made by the thread itself, at
// the start of its life or around a call; the destructor, on the same thread, puts back what it
// found.
#pragma once

#include <memory>
#include <vector>

namespace diabolo::kernels::cpu {

class ThreadTeam;

// Threads that a team may have at most: OMP_THREAD_LIMIT, INT_MAX where nothing limits it. No team
// is OpenMP's, but who sets this means that no program should have more.
int largest_team();

// The CPUs on which OpenMP binds threads of this process (OMP_PROC_BIND and its like), ascending;
// empty where it binds none. Its runtime has then confined the first thread to one of them before
// main, so that this thread's mask no longer says what the process may use.
std::vector<int> openmp_cpus();

// Restricts the calling thread, which must be our own, to these CPUs; empty: not at all.
void confine_this_thread(const std::vector<int>& cpus);

// A team for the caller of run(), whose thread is left alone: its helpers run on any of `cpus`
// (empty: where their maker may), flush denormals and run oneDNN's products alone. They inherit the
// signal mask. Throws std::system_error where a thread cannot be started.
std::unique_ptr<ThreadTeam> make_call_team(int threads, const std::vector<int>& cpus);

// For a worker thread of our own: `threads` that work together, denormals flushed to zero in
// results and read as zero in all of them. Where there are as many as `cpus`, each gets one of
// them, the worker itself when it first shares a loop: one whose work is too small for that stays
// free to move away from whoever else wants its core. Otherwise all run where the worker may:
// a choice out of more CPUs would be the choice of every other process too. Throws as
// make_call_team does.
class WorkerSetup {
 public:
  WorkerSetup(int threads, const std::vector<int>& cpus);
  ~WorkerSetup();
  WorkerSetup(const WorkerSetup&) = delete;
  WorkerSetup& operator=(const WorkerSetup&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// For work inside a call on a caller's thread: denormals flushed in it, products on it alone.
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
