// Runs one block: a fiber per thread, barriers, warp collectives, asynchronous copies.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "cuda_host.h"
#include "fiber.h"
#include "race.h"
#include "shared_memory.h"

namespace cuda_host {

struct AsyncCopy {
  unsigned char* dst;
  const unsigned char* src;
  int bytes;
  int valid_bytes;
};

// What one CUDA thread is doing.
struct ThreadState {
  enum class Status { kRunnable, kAtBarrier, kInCollective, kExited } status = Status::kRunnable;
  Dim3 index;
  const char* collective = nullptr;
  unsigned mask = 0;
  const void* in = nullptr;
  void* out = nullptr;
  // cp.async copies in flight, oldest first; group g ends before copies[group_ends[g]].
  std::vector<AsyncCopy> copies;
  std::vector<std::size_t> group_ends;
};

class Scheduler {
 public:
  static Scheduler& instance();

  void set_schedule(const Schedule& schedule);
  void run_launch(const LaunchSpec& spec, std::size_t shared_limit_bytes);

  void barrier_block(const char* file, int line);
  void barrier_warp(unsigned mask);
  void collective(const char* what, unsigned mask, const void* in, void* out, Finish finish);
  void copy_async(const AsyncCopy& copy);
  void copy_async_commit();
  void copy_async_wait(int pending_groups);

  SharedMemory& shared() { return shared_; }
  bool running() const { return current_ >= 0; }
  unsigned current_lane() const { return static_cast<unsigned>(current_) % 32U; }
  bool on_a_stack(const void* address) const { return fibers_.on_a_stack(address); }
  Moment now() const;
  std::string where() const;
  // Ends the launch with this report at the next switch (the race hooks must not throw).
  void report_later(BugKind kind, const std::string& what);

 private:
  Scheduler();
  static void thread_body(int fiber);
  void run_block(Dim3 block);
  void start_threads();
  int pick();
  void resume(int thread);
  void suspend();
  void wake(int thread);
  void release_barrier();
  void check_collective(const char* what, unsigned mask);
  bool all_arrived(unsigned mask);
  void finish_collective(unsigned mask, Finish finish);
  void complete(const AsyncCopy& copy);
  void throw_reported();
  [[noreturn]] void report_deadlock();
  std::uint64_t next_random();
  std::vector<Dim3> block_order(Dim3 grid);

  ThreadState& me() { return threads_[static_cast<std::size_t>(current_)]; }
  ThreadState& lane(unsigned lane_index);

  FiberPool fibers_;
  SharedMemory shared_;
  Schedule schedule_;
  std::uint64_t random_state_ = 1;

  const LaunchSpec* spec_ = nullptr;
  std::vector<ThreadState> threads_;
  std::deque<int> runnable_;
  std::vector<std::uint32_t> warp_epochs_;
  std::exception_ptr thrown_;
  std::optional<Bug> reported_;
  int current_ = -1;
  int thread_count_ = 0;
  int waiting_ = 0;
  const char* barrier_file_ = nullptr;  // of the barrier that `waiting_` threads wait at
  int barrier_line_ = 0;
  std::uint32_t block_serial_ = 0;
  std::uint32_t epoch_ = 0;
};

}  // namespace cuda_host
