// The fake device: a CUDA runtime without CUDA, linked in place of cudart. Tests that use it link
// diabolo_core_fake_cuda and get their backend from create_cuda_backend() as everybody does.
//
// It is asynchronous and late. Copies, fills, launches and graphs wait in their streams until
// somebody synchronises; then what that needs is run, and - depending on the seed - other streams'
// work before, in between or not at all. So what was forgotten to be waited for is not there.
//
// What a real device forbids fails here with the same error (illegal calls during a capture, memory
// that is used up, a copy out of bounds), and what a real device would not notice is reported by
// violations(). Under ASan the host cannot touch device memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fake_cuda {

// Forgets everything: frees what is left, drops what has not run, no driver troubles, one device.
// Seed 0: always as late as possible, nothing that was not asked for. Other seeds: each a different
// mixture of early, late and shuffled.
void reset(uint64_t seed = 0);

// What the device is like. The default is as the kernels' harness has it: sm_86 with 99 KiB.
struct Description {
  int count = 1;                                // how many of them there are
  int arch = 86;                                // compute capability, major * 10 + minor
  int multiprocessors = 4;                      // few: blocks are slow here
  uint64_t shared_bytes_per_block = 99 * 1024;  // with opt-in
  uint64_t memory_bytes = uint64_t{1} << 30;    // of each
  int driver_version = 13000;                   // as cudaDriverGetVersion says; 0: no driver
  cudaError_t count_status = cudaSuccess;       // what cudaGetDeviceCount answers otherwise
};
void describe(const Description& description);
void set_memory_bytes(uint64_t bytes);

// The k-th call of the runtime from now on (1: the next) fails with `error` and does nothing. Calls
// that free or destroy do their work all the same, as the documentation says of errors that come
// from earlier work. Sticky errors (cudaErrorIllegalAddress …) stay until reset().
void fail_call(int64_t k, cudaError_t error);
// The same for one function.
void fail_call_of(const std::string& function, int64_t k, cudaError_t error);
// The k-th operation that the device runs from now on goes wrong; `error` is sticky.
void fail_operation(int64_t k, cudaError_t error);
bool failure_is_pending();  // the call or operation that is to fail has not come

// Lets calls name a default stream (null, cudaStreamLegacy, cudaStreamPerThread), as a caller's
// may. Otherwise that is a violation: diabolo's own work stays away from them.
void allow_default_streams();

// Operations are dropped instead of run: to measure what the host does.
void set_runs_operations(bool runs);

struct Counters {
  int64_t calls = 0;  // of the runtime, but for the ones that ask for errors
  int64_t synchronizations = 0;
  int64_t device_allocations = 0;
  int64_t pinned_allocations = 0;
  int64_t live_allocations = 0;  // of both kinds
  uint64_t live_device_bytes = 0;
  uint64_t peak_device_bytes = 0;
  int64_t copies = 0;  // enqueued, like the next two; a graph's are not counted
  int64_t kernels = 0;
  int64_t graph_launches = 0;
  int64_t operations_run = 0;
};
Counters counters();

// What was run, in the order in which it ran: "stream 1: copy 256 bytes".
void set_log(bool is_on);
std::vector<std::string> log();

// What a real device would let pass, or answer with rubbish: one line each.
std::vector<std::string> violations();

// What was made and not given back: memory, streams, events, graphs; one line each.
std::vector<std::string> leaks();

// While one lives, allocating, freeing and synchronising are violations: a step does none of it.
class InsideStep {
 public:
  InsideStep();
  ~InsideStep();
  InsideStep(const InsideStep&) = delete;
  InsideStep& operator=(const InsideStep&) = delete;
};

}  // namespace fake_cuda
