// A thread and those that help it with its loops. Kernels and oneDNN's products, which are cut into
// pieces of one thread each, share it: no OpenMP region is ever begun, so nothing that the
// environment says about OpenMP's teams, binding or waiting counts here.
//
// Tasks are claimed, not assigned: a helper that comes late finds less to do, and one that comes
// after the last task was claimed finds the loop closed. So nobody waits for a thread that has not
// begun, and a core that is busy with something else costs what it would have done, no more.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace diabolo::kernels::cpu {

class ThreadTeam {
 public:
  // Starts threads - 1 helpers, which inherit the signal mask. `enter(index)`, which must not
  // throw, is the first thing that helper `index`, from 1, does, and with 0 what the owner does
  // before the first loop that it shares. Throws std::system_error where a thread cannot be
  // started, std::bad_alloc where there is no address space for its heap.
  ThreadTeam(int threads, const std::function<void(int)>& enter);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls call(body, task) once for every task of [0, count), on this thread and at most threads
  // - 1 helpers; returns when all are done. Not to be called by two threads at once, nor by `call`,
  // which must not throw.
  void run(int threads, int64_t count, void (*call)(const void*, int64_t), const void* body);

  // The team that parallel_for uses on this thread; null: the thread is alone.
  static ThreadTeam*& current();

 private:
  void start_helper(int index);
  void stop();
  void help(int index);
  void await_round(uint32_t seen);
  bool enter_loop();
  void leave_loop();
  void take_tasks(int index);
  void close_loop();

  const std::function<void(int)> enter_;
  bool owner_has_entered_ = false;

  // The loop under way. Written while the door is closed and nobody is inside.
  void (*call_)(const void*, int64_t) = nullptr;
  const void* body_ = nullptr;
  int64_t count_ = 0;
  int shares_ = 1;                                // of the tasks, one for each thread to begin with
  std::unique_ptr<std::atomic<int64_t>[]> next_;  // of each share

  alignas(64) std::atomic<uint32_t> round_{0};  // of loops so far; helpers sleep on it
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stops_{false};
  alignas(64) std::atomic<uint32_t> door_{0};  // seats, whether it is open, helpers inside
  std::atomic<bool> owner_sleeps_{false};

  std::vector<std::thread> helpers_;
};

// While it lives, loops of this thread run on that team.
class TeamScope {
 public:
  explicit TeamScope(ThreadTeam* team) : before_(ThreadTeam::current()) {
    ThreadTeam::current() = team;
  }
  ~TeamScope() { ThreadTeam::current() = before_; }
  TeamScope(const TeamScope&) = delete;
  TeamScope& operator=(const TeamScope&) = delete;

 private:
  ThreadTeam* before_;
};

}  // namespace diabolo::kernels::cpu
