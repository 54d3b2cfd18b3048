// cudaLaunchKernel and what belongs to it, for programs whose kernels nvcc compiled: the launch
// waits in its stream of the fake device and runs in the interpreter.
//
// DIABOLO_PTX_ORDER (forward, reverse, random) gives all launches one order; without it they take
// turns.
#include "fake_cuda/launcher.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "fake_cuda/runtime.h"
#include "fake_cuda/stream_work.h"
#include "fatbin.h"
#include "run.h"

namespace fake_cuda {

namespace {

constexpr uint64_t kSharedBytesWithoutOptIn = 48 * 1024;

std::mutex opt_ins_mutex;
std::map<const void*, uint64_t>& opt_ins() {
  static std::map<const void*, uint64_t> bytes;
  return bytes;
}

uint64_t shared_limit(const void* function) {
  const std::lock_guard lock(opt_ins_mutex);
  const auto found = opt_ins().find(function);
  return found == opt_ins().end() ? kSharedBytesWithoutOptIn
                                  : std::max(found->second, kSharedBytesWithoutOptIn);
}

std::vector<unsigned char> copy_parameters(const ptx::Program& program, void** arguments) {
  std::vector<unsigned char> bytes(program.parameter_bytes);
  for (const ptx::Parameter& parameter : program.parameters)
    std::memcpy(&bytes[parameter.offset], *arguments++, parameter.bytes);
  return bytes;
}

ptx::Order order_of(uint64_t number) {
  const char* wanted = std::getenv("DIABOLO_PTX_ORDER");
  const std::string order = wanted == nullptr ? "" : wanted;
  if (order == "forward") return ptx::Order::kForward;
  if (order == "reverse") return ptx::Order::kReverse;
  if (order == "random") return ptx::Order::kRandom;
  return static_cast<ptx::Order>(number % 3);
}

// The device's mutex is held. What is wrong is said at once: the caller hears of a failed launch
// only.
void run(ptx::Launch launch) {
  static uint64_t count = 0;
  launch.seed = count++;
  launch.order = order_of(launch.seed);
  std::vector<ptx::Range> ranges;
  for (const auto& [begin, allocation] : Runtime::instance().allocations)
    ranges.push_back({begin, begin + allocation.bytes});
  ptx::GlobalMemory memory(std::move(ranges));
  try {
    ptx::run(launch, memory);
  } catch (const ptx::Fault& fault) {
    std::fprintf(stderr, "ptx: %s\n", fault.what());
    throw;
  }
}

}  // namespace

void take_launches() {}

}  // namespace fake_cuda

using namespace fake_cuda;

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t stream) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFF || grid.y > 65535 ||
      grid.z > 65535 || block.x > 1024 || block.y > 1024 || block.z > 64)
    return cudaErrorInvalidConfiguration;
  try {
    const ptx::Program& program = ptx::program_of(function);
    if (program.static_shared_bytes + shared_bytes > shared_limit(function))
      return cudaErrorInvalidValue;
    ptx::Launch launch;
    launch.program = &program;
    launch.grid = {grid.x, grid.y, grid.z};
    launch.block = {block.x, block.y, block.z};
    launch.dynamic_shared_bytes = shared_bytes;
    launch.parameters = copy_parameters(program, arguments);
    const std::string what = "kernel of " + std::to_string(launch.grid.count()) + " blocks of " +
                             std::to_string(launch.block.count());
    return put_on_stream(stream, what, [launch] { run(launch); });
  } catch (const ptx::Fault& fault) {
    std::fprintf(stderr, "ptx: %s\n", fault.what());
    return cudaErrorInvalidConfiguration;
  }
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return call("cudaFuncSetAttribute", kPlain, [&](Runtime& runtime) {
    const auto most = static_cast<int>(runtime.description.shared_bytes_per_block);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > most)
      return cudaErrorInvalidValue;
    const std::lock_guard lock(opt_ins_mutex);
    opt_ins()[function] = static_cast<uint64_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  *name = ptx::name_of(function);
  return *name == nullptr ? cudaErrorInvalidValue : cudaSuccess;
}
