// Capture and graphs.
#include <algorithm>

#include "runtime.h"

using namespace fake_cuda;

namespace {

// Nothing may be left that the stream which began the capture does not come after.
bool is_joined(const Capture& capture) {
  std::vector<bool> is_before_end(capture.nodes.size(), false);
  for (size_t node : capture.origin->after) is_before_end[node] = true;
  for (size_t node = capture.nodes.size(); node-- > 0;) {
    if (!is_before_end[node]) return false;
    for (size_t before : capture.nodes[node].after) is_before_end[before] = true;
  }
  return true;
}

cudaError_t end_capture(Runtime& runtime, CUstream_st* stream, cudaGraph_t* graph) {
  const std::shared_ptr<Capture> capture = stream->capture;
  const bool was_invalid = capture->is_invalid;
  const bool joined = is_joined(*capture);
  for (CUstream_st* member : capture->streams) {
    member->capture = nullptr;
    member->after.clear();
  }
  runtime.captures.erase(std::find(runtime.captures.begin(), runtime.captures.end(), capture));
  if (was_invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = new CUgraph_st{std::make_shared<const Nodes>(std::move(capture->nodes))};
  runtime.graphs.insert(*graph);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamBeginCapture")) return cudaErrorInvalidResourceHandle;
    if (stream->is_default) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture) {
      return runtime.invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported);
    }
    auto capture = std::make_shared<Capture>();
    capture->origin = stream;
    capture->streams = {stream};
    capture->thread = std::this_thread::get_id();
    capture->mode = mode;
    stream->capture = capture;
    runtime.captures.push_back(std::move(capture));
    return cudaSuccess;
  });
}

// Ends the capture in spite of an earlier error: otherwise nothing could.
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  return call("cudaStreamEndCapture", kReleases, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamEndCapture")) return cudaErrorInvalidResourceHandle;
    if (!stream->capture) return cudaErrorInvalidValue;
    if (stream->capture->origin != stream) {
      return runtime.invalidate(*stream->capture, cudaErrorStreamCaptureUnmatched);
    }
    if (stream->capture->mode != cudaStreamCaptureModeRelaxed &&
        stream->capture->thread != std::this_thread::get_id()) {
      return runtime.invalidate(*stream->capture, cudaErrorStreamCaptureWrongThread);
    }
    return end_capture(runtime, stream, graph);
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return call("cudaGraphInstantiate", kNotInStep, [&](Runtime& runtime) {
    if (runtime.graphs.count(graph) == 0) return cudaErrorInvalidValue;
    *executable = new CUgraphExec_st{graph->nodes};
    runtime.executables.insert(*executable);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphUpload", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaGraphUpload")) return cudaErrorInvalidResourceHandle;
    return runtime.executables.count(executable) == 0 ? cudaErrorInvalidValue : cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphLaunch", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaGraphLaunch")) return cudaErrorInvalidResourceHandle;
    if (runtime.executables.count(executable) == 0) {
      runtime.violate("cudaGraphLaunch: not a graph, or one that was destroyed");
      return cudaErrorInvalidValue;
    }
    ++runtime.counters.graph_launches;
    Operation operation;
    operation.what = "graph";
    operation.run = [&runtime, nodes = executable->nodes, id = stream->id] {
      runtime.run_nodes(*nodes, id);
    };
    return runtime.enqueue(stream, std::move(operation));
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", kReleases, [&](Runtime& runtime) {
    if (runtime.graphs.erase(graph) == 0) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call("cudaGraphExecDestroy", kReleases, [&](Runtime& runtime) {
    if (runtime.executables.erase(executable) == 0) return cudaErrorInvalidValue;
    delete executable;
    return cudaSuccess;
  });
}
