// Launching: what a real device refuses, where launches go, and the free functions that kernels
// call.
#include <mutex>
#include <unordered_map>

#include "registers.h"
#include "scheduler.h"

namespace cuda_host {
namespace {

std::recursive_mutex device_mutex;
Launcher launcher;
std::unordered_map<const void*, std::size_t> opted_in_bytes;

[[noreturn]] void refuse(const std::string& what) {
  throw Bug(BugKind::kLaunchLimit, std::string(to_string(BugKind::kLaunchLimit)) + ": " + what);
}

void check_shape(const LaunchSpec& spec) {
  const Dim3 b = spec.block;
  const Dim3 g = spec.grid;
  const std::uint64_t threads = std::uint64_t{b.x} * b.y * b.z;
  if (threads == 0 || threads > kMaxThreads || b.x > 1024 || b.y > 1024 || b.z > 64) {
    refuse("a block of " + std::to_string(threads) + " threads");
  }
  const bool empty = g.x == 0 || g.y == 0 || g.z == 0;
  if (empty || g.x > 0x7FFFFFFFU || g.y > 65535 || g.z > 65535) {
    refuse("a grid of " + std::to_string(g.x) + " x " + std::to_string(g.y) + " x " +
           std::to_string(g.z) + " blocks");
  }
  const int registers = registers_of(spec.kernel);
  if (block_registers(registers, threads) > kRegistersOfBlock) {
    refuse("a block of " + std::to_string(threads) + " threads of " + std::to_string(registers) +
           " registers (by its budget); a block may have " + std::to_string(kRegistersOfBlock));
  }
}

std::size_t shared_limit(const LaunchSpec& spec) {
  const auto found = opted_in_bytes.find(spec.kernel);
  const bool opted_in = found != opted_in_bytes.end() && spec.dynamic_shared_bytes <= found->second;
  return opted_in ? kSharedBytesWithOptIn : kSharedBytesWithoutOptIn;
}

}  // namespace

const char* to_string(BugKind kind) {
  switch (kind) {
    case BugKind::kLaunchLimit:
      return "launch limit";
    case BugKind::kDivergentBarrier:
      return "divergent barrier";
    case BugKind::kWrongMask:
      return "wrong mask";
    case BugKind::kMisaligned:
      return "misaligned address";
    case BugKind::kSharedOverrun:
      return "shared memory overrun";
    case BugKind::kUninitialised:
      return "uninitialised shared memory";
    case BugKind::kAsyncNotWaited:
      return "asynchronous copy not waited for";
    case BugKind::kRace:
      return "race";
  }
  return "unknown";
}

std::string describe(const Schedule& schedule) {
  switch (schedule.order) {
    case Schedule::Order::kFifo:
      return "fifo";
    case Schedule::Order::kLifo:
      return "lifo";
    case Schedule::Order::kRandom:
      return "random, seed " + std::to_string(schedule.seed);
  }
  return "unknown";
}

void set_schedule(const Schedule& schedule) {
  Scheduler::instance().set_schedule(schedule);
}

void set_launcher(Launcher new_launcher) {
  const std::lock_guard lock(device_mutex);
  launcher = std::move(new_launcher);
}

void opt_in_shared(const void* kernel, std::size_t dynamic_bytes) {
  const std::lock_guard lock(device_mutex);
  if (dynamic_bytes > kSharedBytesWithOptIn) {
    refuse("opting in to " + std::to_string(dynamic_bytes) +
           " bytes of shared memory; the smallest "
           "device of the list has " +
           std::to_string(kSharedBytesWithOptIn));
  }
  opted_in_bytes[kernel] = dynamic_bytes;
}

void enqueue(LaunchSpec&& spec) {
  check_shape(spec);
  Launcher to;
  {
    const std::lock_guard lock(device_mutex);
    if (spec.dynamic_shared_bytes > shared_limit(spec)) {
      refuse(std::to_string(spec.dynamic_shared_bytes) + " bytes of dynamic shared memory, where " +
             std::to_string(shared_limit(spec)) + " are allowed");
    }
    to = launcher;
  }
  if (to) {
    to(std::move(spec));
  } else {
    run(spec);
  }
}

void run(const LaunchSpec& spec) {
  const std::lock_guard lock(device_mutex);
  Scheduler::instance().run_launch(spec, shared_limit(spec));
}

void* static_shared(const void* site, std::size_t bytes, const char* name) {
  return Scheduler::instance().shared().array_at(site, bytes, name);
}

void* dynamic_shared() {
  return Scheduler::instance().shared().dynamic();
}

void barrier_block(const char* file, int line) {
  Scheduler::instance().barrier_block(file, line);
}

void barrier_warp(unsigned mask) {
  Scheduler::instance().barrier_warp(mask);
}

void collective(const char* what, unsigned mask, const void* in, void* out, Finish finish) {
  Scheduler::instance().collective(what, mask, in, out, finish);
}

void copy_async(void* shared_dst, const void* src, int bytes, int valid_bytes) {
  Scheduler::instance().copy_async({static_cast<unsigned char*>(shared_dst),
                                    static_cast<const unsigned char*>(src), bytes, valid_bytes});
}

void copy_async_commit() {
  Scheduler::instance().copy_async_commit();
}

void copy_async_wait(int pending_groups) {
  Scheduler::instance().copy_async_wait(pending_groups);
}

std::uint32_t arrive(std::uint32_t* count, std::uint32_t last) {
  require_aligned(count, sizeof *count, "arrive");
  race_arrive(count);
  const std::uint32_t before = *count;
  *count = before >= last ? 0 : before + 1;
  return before;
}

void require_aligned(const void* address, std::size_t alignment, const char* verb) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignment == 0) return;
  fail(BugKind::kMisaligned, std::string(verb) + ": the address must be a multiple of " +
                                 std::to_string(alignment) + " bytes");
}

void fail(BugKind kind, const std::string& what) {
  throw Bug(kind, std::string(to_string(kind)) + ": " + what + Scheduler::instance().where());
}

unsigned lane_of_running_thread() {
  return Scheduler::instance().current_lane();
}

bool in_kernel() {
  return Scheduler::instance().running();
}

}  // namespace cuda_host
