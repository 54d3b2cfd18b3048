#include "model/parameter_values.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "backend/host/host_memory.h"
#include "base/error.h"

namespace diabolo {
namespace {

constexpr std::align_val_t kAlignment{256};  // as the host's backend aligns
constexpr std::align_val_t kHugePage{2 << 20};
constexpr uint64_t kHugePagesFrom = 4 << 20;
constexpr uint64_t kLargeBytes = uint64_t{64} << 20;

}  // namespace

void ParameterValues::allocate(uint64_t elems) {
  const uint64_t bytes = std::max<uint64_t>(1, elems) * sizeof(float);  // BlobLayout bounds elems
  // Linux promises more than it has, and kills whoever then uses it.
  const bool fits = bytes < kLargeBytes || bytes <= host_available_bytes();
  const std::align_val_t alignment = bytes >= kHugePagesFrom ? kHugePage : kAlignment;
  void* memory = fits ? ::operator new(bytes, alignment, std::nothrow) : nullptr;
  if (memory == nullptr)
    throw Error(ErrorCode::kResource, cat("the weights need ", bytes, " bytes (", bytes >> 20,
                                          " MiB) of memory, which cannot be had"));
  // Half the time of loading is the kernel's, who gives and clears each page: take large ones.
  if (bytes >= kHugePagesFrom) static_cast<void>(::madvise(memory, bytes, MADV_HUGEPAGE));
  data_ = std::shared_ptr<float>(static_cast<float*>(memory),
                                 [alignment](float* data) { ::operator delete(data, alignment); });
  elems_ = elems;
}

ParameterValues::ParameterValues(std::span<const ParameterSpec> specs) {
  const BlobLayout layout = BlobLayout::of(specs);
  allocate(layout.elems);
  for (size_t i = 0; i < specs.size(); ++i) {
    const auto elems = static_cast<uint64_t>(specs[i].desc.elems());
    const uint64_t next = i + 1 < specs.size() ? layout.offsets[i + 1] : layout.elems;
    float* const begin = data_.get() + layout.offsets[i];
    std::fill(begin + elems, data_.get() + next, 0.0f);
    parts_.emplace_back(begin, elems);
  }
}

ParameterValues::ParameterValues(std::span<const ParameterSpec> specs,
                                 const std::vector<std::vector<float>>& values)
    : ParameterValues(specs) {
  DIABOLO_CHECK(values.size() == specs.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    DIABOLO_CHECK(values[i].size() == parts_[i].size(), specs[i].name);
    std::ranges::copy(values[i], writable(i).begin());
  }
}

void ParameterValues::require_own() {
  if (data_.use_count() <= 1) return;
  const std::shared_ptr<float> before = data_;
  allocate(elems_);
  std::copy_n(before.get(), elems_, data_.get());
  for (auto& part : parts_) part = {data_.get() + (part.data() - before.get()), part.size()};
}

std::span<float> ParameterValues::writable(size_t index) {
  require_own();
  const std::span<const float> part = parts_[index];
  return {data_.get() + (part.data() - data_.get()), part.size()};
}

std::span<float> ParameterValues::writable_blob() {
  require_own();
  return {data_.get(), elems_};
}

}  // namespace diabolo
