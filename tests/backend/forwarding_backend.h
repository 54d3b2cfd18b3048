// A backend that passes every call on: for tests that change one of them.
#pragma once

#include <memory>
#include <utility>

#include "backend/backend.h"

namespace diabolo {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(Backend& real) : real_(real) {}

  const DeviceInfo& info() const override { return real_.info(); }
  void* allocate(uint64_t bytes) override { return real_.allocate(bytes); }
  void release(void* data) noexcept override { real_.release(data); }
  uint64_t free_bytes() const override { return real_.free_bytes(); }
  void* allocate_staging(uint64_t bytes) override { return allocate(bytes); }
  void release_staging(void* data) noexcept override { release(data); }
  std::unique_ptr<Stream> create_stream(StreamKind kind) override {
    return real_.create_stream(kind);
  }
  std::unique_ptr<Stream> borrow_stream(void* native) override {
    return real_.borrow_stream(native);
  }
  void require_device_memory(const char* what, const void* data, uint64_t bytes) override {
    real_.require_device_memory(what, data, bytes);
  }
  std::unique_ptr<Replay> record(Stream& stream, std::function<void(void*)> launches) override {
    return real_.record(stream, std::move(launches));
  }

 private:
  Backend& real_;
};

}  // namespace diabolo
