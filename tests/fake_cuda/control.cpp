// What tests say to the fake device.
#include "fake_cuda.h"
#include "runtime.h"

namespace fake_cuda {

namespace {

template <class Use>
auto locked(Use&& use) {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  return use(runtime);
}

}  // namespace

void reset(uint64_t seed) {
  locked([&](Runtime& runtime) { runtime.reset(seed); });
}

void describe(const Description& description) {
  locked([&](Runtime& runtime) { runtime.description = description; });
}

void set_memory_bytes(uint64_t bytes) {
  locked([&](Runtime& runtime) { runtime.description.memory_bytes = bytes; });
}

void fail_call(int64_t k, cudaError_t error) {
  fail_call_of("", k, error);
}

void fail_call_of(const std::string& function, int64_t k, cudaError_t error) {
  locked([&](Runtime& runtime) { runtime.call_injection = {k, error, function}; });
}

void fail_operation(int64_t k, cudaError_t error) {
  locked([&](Runtime& runtime) { runtime.operation_injection = {k, error, ""}; });
}

bool failure_is_pending() {
  return locked([](Runtime& runtime) {
    return runtime.call_injection.countdown > 0 || runtime.operation_injection.countdown > 0;
  });
}

void allow_default_streams() {
  locked([](Runtime& runtime) { runtime.allows_default_streams = true; });
}

void set_runs_operations(bool runs) {
  locked([&](Runtime& runtime) { runtime.runs_operations = runs; });
}

Counters counters() {
  return locked([](Runtime& runtime) { return runtime.counters; });
}

void set_log(bool is_on) {
  locked([&](Runtime& runtime) { runtime.logs = is_on; });
}

std::vector<std::string> log() {
  return locked([](Runtime& runtime) { return runtime.log; });
}

std::vector<std::string> violations() {
  return locked([](Runtime& runtime) { return runtime.violations; });
}

std::vector<std::string> leaks() {
  return locked([](Runtime& runtime) {
    std::vector<std::string> lines;
    for (const auto& [address, allocation] : runtime.allocations) {
      const char* kind = allocation.kind == MemoryKind::kDevice    ? "device"
                         : allocation.kind == MemoryKind::kManaged ? "managed"
                                                                   : "pinned";
      lines.push_back(std::to_string(allocation.bytes) + " bytes of " + kind + " memory");
    }
    const auto add = [&](size_t count, const char* what) {
      if (count > 0) lines.push_back(std::to_string(count) + " " + what);
    };
    add(runtime.streams.size(), "streams");
    add(runtime.events.size(), "events");
    add(runtime.graphs.size(), "graphs");
    add(runtime.executables.size(), "executable graphs");
    add(runtime.captures.size(), "captures in progress");
    return lines;
  });
}

InsideStep::InsideStep() {
  locked([](Runtime& runtime) { ++runtime.inside_step; });
}

InsideStep::~InsideStep() {
  locked([](Runtime& runtime) { --runtime.inside_step; });
}

}  // namespace fake_cuda
