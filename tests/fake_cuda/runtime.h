// The state of the fake device. One mutex guards all of it; every function of the interface is a
// call() around a body (see below), everything else here expects the mutex to be held.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fake_cuda.h"

namespace fake_cuda {

// A point in a stream that has been passed or not.
struct Marker {
  CUstream_st* stream = nullptr;
  bool is_passed = false;
};

// Something that the device does.
struct Operation {
  std::string what;                // for the log
  std::function<void()> run;       // empty for pure ordering
  std::shared_ptr<Marker> awaits;  // starts after this
  std::shared_ptr<Marker> passes;  // and then passes this
};

struct Node {
  Operation operation;
  std::vector<size_t> after;  // earlier nodes
};
using Nodes = std::vector<Node>;

struct Capture {
  Nodes nodes;
  CUstream_st* origin = nullptr;
  std::set<CUstream_st*> streams;
  std::thread::id thread;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool is_invalid = false;
};

enum class MemoryKind { kDevice, kPinned, kManaged };

struct Allocation {
  MemoryKind kind = MemoryKind::kDevice;
  uint64_t bytes = 0;
  int device = 0;
};

struct Injection {
  int64_t countdown = 0;  // 0: none
  cudaError_t error = cudaSuccess;
  std::string function;  // empty: any
};

// What a call may not do where, and what it does in spite of an error.
enum Rules : unsigned {
  kPlain = 0,
  kUnsafeInCapture = 1,  // forbidden to a thread that captures
  kNotInStep = 2,
  kReleases = 4,  // does its work even if it reports an error of earlier work
};

class Runtime {
 public:
  static Runtime& instance();

  void reset(uint64_t seed);

  // Enqueues on `stream`, or adds a node if it captures.
  cudaError_t enqueue(CUstream_st* stream, Operation operation);

  void run_until(const Marker& marker);  // as late as the seed says
  void run_stream(CUstream_st* stream);
  void run_all();
  void advance(const Marker& marker);  // a little
  bool coin(double probability);
  void run_nodes(const Nodes& nodes, int stream_id);

  void violate(std::string text) { violations.push_back(std::move(text)); }
  // A default stream becomes the object that stands for it.
  bool is_live(CUstream_st*& stream, const char* function);
  bool is_live(CUevent_st* event, const char* function);
  Capture* capture_of_this_thread();
  cudaError_t invalidate(Capture& capture, cudaError_t status);

  // default_streams.cpp
  CUstream_st* make_stream(bool is_blocking);
  CUstream_st* default_stream(CUstream_st* named);  // null if it names none
  // The capture that work on `stream` would get into, if that is a device's default one.
  Capture* implied_capture(const CUstream_st& stream);
  // The device's default stream and its blocking ones wait for each other.
  void order_with_default_stream(CUstream_st& stream);

  // Admits a call or says with which error it fails. `does_body`: whether to do its work.
  cudaError_t admit(const char* function, unsigned rules, bool* does_body);
  cudaError_t finish(cudaError_t status);

  std::mutex mutex;
  Description description;
  Counters counters;
  Injection call_injection, operation_injection;
  cudaError_t sticky = cudaSuccess;
  bool runs_operations = true;
  bool allows_default_streams = false;
  bool logs = false;
  int inside_step = 0;
  std::vector<std::string> log, violations;
  std::map<uintptr_t, Allocation> allocations;
  std::map<int, uint64_t> used_bytes;           // by device
  std::set<CUstream_st*> streams;               // the live ones
  std::map<int, CUstream_st*> default_streams;  // by device
  std::map<std::pair<int, std::thread::id>, CUstream_st*> thread_streams;
  std::set<CUevent_st*> events;
  std::set<CUgraph_st*> graphs;
  std::set<CUgraphExec_st*> executables;
  std::vector<std::unique_ptr<CUstream_st>> all_streams;  // destroyed ones finish their work
  std::vector<std::shared_ptr<Capture>> captures;         // in progress

 private:
  CUstream_st* random_ready_stream();
  void run_head(CUstream_st& stream);
  void step_towards(const Marker& marker);
  void execute(const Operation& operation, int stream_id);

  std::mt19937_64 random_;
  double early_ = 0;  // chance that something runs as soon as it is enqueued
  double other_ = 0;  // chance that another stream's work runs before what was asked for
};

cudaError_t& last_error();  // of this thread
int& current_device();      // of this thread

// One function of the interface.
template <class Body>
cudaError_t call(const char* function, unsigned rules, Body&& body) {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  bool does_body = true;
  const cudaError_t refused = runtime.admit(function, rules, &does_body);
  const cudaError_t status = does_body ? body(runtime) : cudaSuccess;
  return runtime.finish(refused != cudaSuccess ? refused : status);
}

}  // namespace fake_cuda

struct CUstream_st {
  int id = 0;
  int device = 0;
  bool is_blocking = false;  // with the device's default stream
  bool is_default = false;   // is that stream
  std::deque<fake_cuda::Operation> queue;
  std::shared_ptr<fake_cuda::Capture> capture;
  std::vector<size_t> after;  // nodes that the next captured operation follows
};

struct CUevent_st {
  std::shared_ptr<fake_cuda::Marker> marker;  // of the last record
  std::weak_ptr<fake_cuda::Capture> capture;  // or the capture that it was recorded in
  std::vector<size_t> after;
  bool is_captured = false;
  int device = 0;
};

struct CUgraph_st {
  std::shared_ptr<const fake_cuda::Nodes> nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const fake_cuda::Nodes> nodes;
};
