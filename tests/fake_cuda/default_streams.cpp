// The default streams: of each device, which waits for all blocking streams of the device and they
// for it (CUDA programming guide, "Implicit Synchronization"), and of each thread, which is
// a blocking one.
#include <algorithm>

#include "runtime.h"

namespace fake_cuda {

namespace {

// Queues on `later` a wait for what is queued on `earlier`.
void make_wait(CUstream_st& later, CUstream_st& earlier) {
  if (earlier.queue.empty()) return;
  auto end = std::make_shared<Marker>(Marker{&earlier, false});
  earlier.queue.push_back({"", {}, nullptr, end});
  later.queue.push_back({"", {}, end, nullptr});
}

}  // namespace

CUstream_st* Runtime::make_stream(bool is_blocking) {
  auto made = std::make_unique<CUstream_st>();
  made->id = static_cast<int>(all_streams.size()) + 1;
  made->device = current_device();
  made->is_blocking = is_blocking;
  all_streams.push_back(std::move(made));
  return all_streams.back().get();
}

CUstream_st* Runtime::default_stream(CUstream_st* named) {
  if (named == cudaStreamPerThread) {
    CUstream_st*& found = thread_streams[{current_device(), std::this_thread::get_id()}];
    if (found == nullptr) found = make_stream(true);
    return found;
  }
  if (named != nullptr && named != cudaStreamLegacy) return nullptr;
  CUstream_st*& found = default_streams[current_device()];
  if (found == nullptr) {
    found = make_stream(false);
    found->is_default = true;
  }
  return found;
}

Capture* Runtime::implied_capture(const CUstream_st& stream) {
  if (!stream.is_default) return nullptr;
  for (const auto& capture : captures) {
    const auto is_implied = [&](const CUstream_st* member) {
      return member->is_blocking && member->device == stream.device;
    };
    if (std::any_of(capture->streams.begin(), capture->streams.end(), is_implied))
      return capture.get();
  }
  return nullptr;
}

void Runtime::order_with_default_stream(CUstream_st& stream) {
  if (stream.is_blocking) {
    const auto found = default_streams.find(stream.device);
    if (found != default_streams.end()) make_wait(stream, *found->second);
  }
  if (!stream.is_default) return;
  for (const auto& other : all_streams) {
    const bool is_member = other->is_blocking && other->device == stream.device;
    if (is_member && !other->capture) make_wait(stream, *other);
  }
}

}  // namespace fake_cuda
