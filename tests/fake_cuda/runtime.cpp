#include "runtime.h"

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "device_memory.h"
#include "launcher.h"

namespace fake_cuda {

cudaError_t& last_error() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

int& current_device() {
  thread_local int device = 0;
  return device;
}

Runtime& Runtime::instance() {
  static Runtime runtime;
  static const bool launches_come_here = (take_launches(), true);
  (void)launches_come_here;
  return runtime;
}

void Runtime::reset(uint64_t seed) {
  free_all(*this);
  for (CUevent_st* event : events) delete event;
  for (CUgraph_st* graph : graphs) delete graph;
  for (CUgraphExec_st* executable : executables) delete executable;
  events.clear();
  graphs.clear();
  executables.clear();
  streams.clear();
  default_streams.clear();
  thread_streams.clear();
  captures.clear();
  all_streams.clear();
  description = Description();
  counters = Counters();
  call_injection = operation_injection = Injection();
  sticky = cudaSuccess;
  runs_operations = true;
  allows_default_streams = false;
  logs = false;
  log.clear();
  violations.clear();
  last_error() = cudaSuccess;
  current_device() = 0;
  random_.seed(seed);
  // Each seed is a character of its own: all late, half of it early, mostly early …
  early_ = seed == 0 ? 0 : static_cast<double>(random_() % 4) / 5;
  other_ = seed == 0 ? 0 : static_cast<double>(random_() % 4) / 5;
}

bool Runtime::coin(double probability) {
  return probability > 0 && std::uniform_real_distribution<double>()(random_) < probability;
}

cudaError_t Runtime::enqueue(CUstream_st* stream, Operation operation) {
  if (stream->capture) {
    Capture& capture = *stream->capture;
    if (capture.is_invalid) return cudaErrorStreamCaptureInvalidated;
    capture.nodes.push_back({std::move(operation), stream->after});
    stream->after = {capture.nodes.size() - 1};
    return cudaSuccess;
  }
  if (Capture* implied = implied_capture(*stream))
    return invalidate(*implied, cudaErrorStreamCaptureImplicit);
  order_with_default_stream(*stream);
  stream->queue.push_back(std::move(operation));
  if (early_ == 0) return cudaSuccess;
  const DeviceAtWork at_work(*this);
  while (coin(early_)) {
    if (CUstream_st* ready = random_ready_stream()) run_head(*ready);
  }
  return cudaSuccess;
}

CUstream_st* Runtime::random_ready_stream() {
  std::vector<CUstream_st*> ready;
  for (const auto& stream : all_streams) {
    if (stream->queue.empty()) continue;
    const auto& awaits = stream->queue.front().awaits;
    if (!awaits || awaits->is_passed) ready.push_back(stream.get());
  }
  return ready.empty() ? nullptr : ready[random_() % ready.size()];
}

void Runtime::execute(const Operation& operation, int stream_id) {
  if (!operation.run || sticky != cudaSuccess) return;  // a dead device runs nothing
  ++counters.operations_run;
  if (logs) log.push_back("stream " + std::to_string(stream_id) + ": " + operation.what);
  if (operation_injection.countdown > 0 && --operation_injection.countdown == 0) {
    sticky = operation_injection.error;
    return;
  }
  if (!runs_operations) return;
  try {
    operation.run();
  } catch (const std::exception& error) {
    violate(error.what());
    sticky = cudaErrorLaunchFailure;
  }
}

void Runtime::run_head(CUstream_st& stream) {
  const Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  execute(operation, stream.id);
  if (operation.passes) operation.passes->is_passed = true;
}

void Runtime::step_towards(const Marker& marker) {
  if (marker.is_passed) return;
  CUstream_st& stream = *marker.stream;
  const auto awaits = stream.queue.front().awaits;
  if (awaits && !awaits->is_passed) {
    step_towards(*awaits);
  } else {
    run_head(stream);
  }
}

void Runtime::advance(const Marker& marker) {
  const DeviceAtWork at_work(*this);
  step_towards(marker);
}

void Runtime::run_until(const Marker& marker) {
  const DeviceAtWork at_work(*this);
  while (!marker.is_passed) {
    CUstream_st* other = coin(other_) ? random_ready_stream() : nullptr;
    if (other) {
      run_head(*other);
    } else {
      step_towards(marker);
    }
  }
}

void Runtime::run_stream(CUstream_st* stream) {
  if (stream->queue.empty()) return;
  auto end = std::make_shared<Marker>(Marker{stream, false});
  stream->queue.push_back({"", {}, nullptr, end});
  run_until(*end);
}

void Runtime::run_all() {
  const DeviceAtWork at_work(*this);
  while (CUstream_st* ready = random_ready_stream()) run_head(*ready);
}

void Runtime::run_nodes(const Nodes& nodes, int stream_id) {
  std::vector<bool> is_done(nodes.size(), false);
  for (size_t count = 0; count < nodes.size(); ++count) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const auto done = [&](size_t before) { return is_done[before]; };
      if (!is_done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(), done)) {
        ready.push_back(i);
        if (early_ == 0 && other_ == 0) break;  // seed 0 takes them as they were recorded
      }
    }
    const size_t next = ready[random_() % ready.size()];
    execute(nodes[next].operation, stream_id);
    is_done[next] = true;
  }
}

bool Runtime::is_live(CUstream_st*& stream, const char* function) {
  if (CUstream_st* of_default = default_stream(stream)) {
    stream = of_default;
    if (!allows_default_streams) violate(std::string(function) + ": on a default stream");
    return true;
  }
  if (streams.count(stream) != 0) return true;
  violate(std::string(function) + ": not a stream, or one that was destroyed");
  return false;
}

bool Runtime::is_live(CUevent_st* event, const char* function) {
  if (events.count(event) != 0) return true;
  violate(std::string(function) + ": not an event, or one that was destroyed");
  return false;
}

Capture* Runtime::capture_of_this_thread() {
  for (const auto& capture : captures) {
    const bool is_mine = capture->thread == std::this_thread::get_id();
    if (capture->mode == cudaStreamCaptureModeGlobal) return capture.get();
    if (is_mine && capture->mode == cudaStreamCaptureModeThreadLocal) return capture.get();
  }
  return nullptr;
}

cudaError_t Runtime::invalidate(Capture& capture, cudaError_t status) {
  capture.is_invalid = true;
  return status;
}

cudaError_t Runtime::admit(const char* function, unsigned rules, bool* does_body) {
  ++counters.calls;
  if (inside_step > 0 && (rules & kNotInStep) != 0) {
    violate(std::string(function) + " inside a step");
  }
  cudaError_t status = sticky;
  if (call_injection.countdown > 0 &&
      (call_injection.function.empty() || call_injection.function == function) &&
      --call_injection.countdown == 0) {
    status = call_injection.error;
    if (is_sticky(status)) sticky = status;
  }
  if (status == cudaSuccess && (rules & kUnsafeInCapture) != 0) {
    if (Capture* capture = capture_of_this_thread()) {
      *does_body = false;
      return invalidate(*capture, cudaErrorStreamCaptureUnsupported);
    }
  }
  *does_body = status == cudaSuccess || (rules & kReleases) != 0;
  return status;
}

cudaError_t Runtime::finish(cudaError_t status) {
  if (status != cudaSuccess && status != cudaErrorNotReady) last_error() = status;
  return status;
}

}  // namespace fake_cuda
