// Streams and events.
#include <algorithm>

#include "runtime.h"

using namespace fake_cuda;

namespace {

cudaError_t wait_captured(Runtime& runtime, CUstream_st* stream, const CUevent_st& event) {
  const auto capture = event.capture.lock();
  if (!capture || capture->is_invalid) return cudaErrorCapturedEvent;
  if (stream->capture && stream->capture != capture) {
    runtime.invalidate(*stream->capture, cudaErrorStreamCaptureMerge);
    return runtime.invalidate(*capture, cudaErrorStreamCaptureMerge);
  }
  stream->capture = capture;  // joins it, if it was not part of it yet
  capture->streams.insert(stream);
  for (size_t node : event.after) {
    if (std::find(stream->after.begin(), stream->after.end(), node) == stream->after.end()) {
      stream->after.push_back(node);
    }
  }
  return cudaSuccess;
}

cudaError_t wait(Runtime& runtime, CUstream_st* stream, const CUevent_st& event) {
  if (event.is_captured) return wait_captured(runtime, stream, event);
  if (stream->capture) {
    return runtime.invalidate(*stream->capture, cudaErrorStreamCaptureIsolation);
  }
  if (!event.marker || event.marker->is_passed) return cudaSuccess;
  return runtime.enqueue(stream, {"", {}, event.marker, nullptr});
}

cudaError_t record(Runtime& runtime, CUevent_st& event, CUstream_st* stream) {
  event.is_captured = stream->capture != nullptr;
  event.capture = stream->capture;
  event.after = stream->after;
  event.marker = nullptr;
  if (stream->capture) {
    return stream->capture->is_invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  }
  event.marker = std::make_shared<Marker>(Marker{stream, false});
  return runtime.enqueue(stream, {"", {}, nullptr, event.marker});
}

}  // namespace

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", kNotInStep, [&](Runtime& runtime) {
    *stream = runtime.make_stream((flags & cudaStreamNonBlocking) == 0);
    runtime.streams.insert(*stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", kNotInStep | kReleases, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamDestroy")) return cudaErrorInvalidResourceHandle;
    if (runtime.streams.count(stream) == 0) return cudaErrorInvalidResourceHandle;  // a default one
    runtime.streams.erase(stream);  // its work is still done, some time
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", kNotInStep, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamSynchronize")) return cudaErrorInvalidResourceHandle;
    if (stream->capture) {
      return runtime.invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported);
    }
    if (Capture* implied = runtime.implied_capture(*stream))
      return runtime.invalidate(*implied, cudaErrorStreamCaptureImplicit);
    ++runtime.counters.synchronizations;
    runtime.order_with_default_stream(*stream);
    runtime.run_stream(stream);
    return runtime.sticky;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamIsCapturing")) return cudaErrorInvalidResourceHandle;
    if (runtime.implied_capture(*stream)) return cudaErrorStreamCaptureImplicit;  // it goes on
    *status = !stream->capture              ? cudaStreamCaptureStatusNone
              : stream->capture->is_invalid ? cudaStreamCaptureStatusInvalidated
                                            : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", kUnsafeInCapture | kNotInStep, [&](Runtime& runtime) {
    ++runtime.counters.synchronizations;
    runtime.run_all();
    return runtime.sticky;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaStreamWaitEvent") ||
        !runtime.is_live(event, "cudaStreamWaitEvent")) {
      return cudaErrorInvalidResourceHandle;
    }
    return wait(runtime, stream, *event);
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return call("cudaEventCreateWithFlags", kPlain, [&](Runtime& runtime) {
    *event = new CUevent_st();
    (*event)->device = current_device();
    runtime.events.insert(*event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", kReleases, [&](Runtime& runtime) {
    if (!runtime.is_live(event, "cudaEventDestroy")) return cudaErrorInvalidResourceHandle;
    runtime.events.erase(event);
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaEventRecord") || !runtime.is_live(event, "cudaEventRecord")) {
      return cudaErrorInvalidResourceHandle;
    }
    if (event->device != stream->device) return cudaErrorInvalidResourceHandle;
    return record(runtime, *event, stream);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(event, "cudaEventQuery")) return cudaErrorInvalidResourceHandle;
    if (event->is_captured) {
      const auto capture = event->capture.lock();
      return capture ? runtime.invalidate(*capture, cudaErrorCapturedEvent)
                     : cudaErrorCapturedEvent;
    }
    if (!event->marker || event->marker->is_passed) return runtime.sticky;
    runtime.advance(*event->marker);  // so that whoever polls gets there
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", kNotInStep, [&](Runtime& runtime) {
    if (!runtime.is_live(event, "cudaEventSynchronize")) return cudaErrorInvalidResourceHandle;
    if (event->is_captured) {
      const auto capture = event->capture.lock();
      return capture ? runtime.invalidate(*capture, cudaErrorCapturedEvent)
                     : cudaErrorCapturedEvent;
    }
    ++runtime.counters.synchronizations;
    if (event->marker) runtime.run_until(*event->marker);
    return runtime.sticky;
  });
}
