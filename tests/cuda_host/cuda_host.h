// The CUDA host harness: what a .cu file of kernels/cuda sees when the plain C++ compiler reads it.
//
// This header is force-included in front of every .cu file (tests/cuda_host/CMakeLists.txt). It
// gives CUDA's keywords and built-in variables a meaning in C++, and declares the services behind
// the host halves of the verbs in kernels/cuda/device/. One fiber plays one CUDA thread, all fibers
// of a block share one OS thread, and blocks run one after another: see scheduler.cpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#define DIABOLO_CUDA_HOST 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

namespace cuda_host {

// What a report says is wrong with a kernel.
enum class BugKind {
  kLaunchLimit,       // a launch that a real device refuses
  kDivergentBarrier,  // threads of a block (or lanes of a warp) wait at different barriers, or
                      // exited
  kWrongMask,         // a warp verb whose mask does not name the lanes that take part
  kMisaligned,        // an address that the instruction would trap on
  kSharedOverrun,     // a write outside the block's shared memory
  kUninitialised,     // a read of shared memory that no thread of the block wrote (race build)
  kAsyncNotWaited,  // a touch of a cp.async destination before its wait, or a copy never waited for
  kRace,            // two threads touch one byte, one writes, no barrier between (race build)
};
const char* to_string(BugKind kind);

// Thrown by a launch when the kernel misbehaves. The message names block, thread, schedule and
// seed.
class Bug : public std::runtime_error {
 public:
  Bug(BugKind bug_kind, const std::string& message) : std::runtime_error(message), kind(bug_kind) {}
  BugKind kind;
};

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// threadIdx, blockIdx, blockDim, gridDim of the running fiber; the scheduler sets them.
struct BuiltIns {
  Dim3 thread, block, block_dim, grid_dim;
};
extern BuiltIns built_ins;

// The order in which runnable threads are picked. `seed` counts only for kRandom.
struct Schedule {
  enum class Order { kFifo, kLifo, kRandom } order = Order::kFifo;
  std::uint64_t seed = 0;
};
void set_schedule(const Schedule& schedule);
std::string describe(const Schedule& schedule);

// One launch, its parameters already copied into `body`, which runs one CUDA thread.
struct LaunchSpec {
  const void* kernel = nullptr;  // identity only
  Dim3 grid, block;
  std::size_t dynamic_shared_bytes = 0;
  void* stream = nullptr;
  std::function<void()> body;
};

// Runs every block of `spec` to its end on the calling OS thread (launches are serialised by a
// lock). Throws Bug.
void run(const LaunchSpec& spec);

// Where launches go. The default runs them at once; a fake CUDA runtime may keep them and `run`
// them later. An empty function restores the default. `enqueue` first checks what cudaLaunchKernel
// checks.
using Launcher = std::function<void(LaunchSpec&&)>;
void set_launcher(Launcher launcher);
void enqueue(LaunchSpec&& spec);

// Limits of the devices that the kernels must fit, the smallest of the list of docs/gpu.md.
constexpr std::size_t kSharedBytesWithoutOptIn = 48 * 1024;
constexpr std::size_t kSharedBytesWithOptIn = 99 * 1024;  // sm_86, sm_89, sm_120
constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kRegistersOfBlock = 65536;
void opt_in_shared(const void* kernel, std::size_t dynamic_bytes);

// --- services behind the verbs -----------------------------------------------------------------

// Address of the block's shared array that belongs to `site` (one address per declaration).
void* static_shared(const void* site, std::size_t bytes, const char* name);
void* dynamic_shared();

void barrier_block(const char* file, int line);
void barrier_warp(unsigned mask);

// A warp collective: every lane of `mask` arrives with the same `what`; the last to arrive calls
// `finish` once with the lanes' inputs and outputs (null for lanes outside the mask).
using Finish = void (*)(unsigned mask, const void* const* in, void* const* out);
void collective(const char* what, unsigned mask, const void* in, void* out, Finish finish);

// cp.async: the destination is poisoned now, the data arrive in wait.
void copy_async(void* shared_dst, const void* src, int bytes, int valid_bytes);
void copy_async_commit();
void copy_async_wait(int pending_groups);

// One block hands on to another: what arrive() of device/arrive.cuh says.
std::uint32_t arrive(std::uint32_t* count, std::uint32_t last);

void require_aligned(const void* address, std::size_t alignment, const char* verb);
[[noreturn]] void fail(BugKind kind, const std::string& what);
unsigned lane_of_running_thread();

// True while a kernel's fiber runs. The race build's hooks look here first.
bool in_kernel();

}  // namespace cuda_host

#define threadIdx (::cuda_host::built_ins.thread)
#define blockIdx (::cuda_host::built_ins.block)
#define blockDim (::cuda_host::built_ins.block_dim)
#define gridDim (::cuda_host::built_ins.grid_dim)
