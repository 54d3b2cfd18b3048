// Layout of the arena: guard | array | guard | array | guard ... Each array starts on a 128-byte
// boundary, as the device's linker places them at best, and a guard of 256 bytes follows it. Guards
// hold a pattern that end_block compares, and under ASan they are poisoned, so that the first stray
// access stops with its stack.
#include "shared_memory.h"

#include <cstdint>
#include <cstring>

#include "cuda_host.h"
#include "race.h"
#include "sanitizer.h"

namespace cuda_host {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr std::size_t kAlignBytes = 128;
constexpr unsigned char kGuardPattern = 0xA5;
// All ones: a NaN in f32, tf32 and bf16, and an index far outside in integers.
constexpr unsigned char kPoisonPattern = 0xFF;
constexpr std::size_t kMaxArrays = 64;
constexpr std::size_t kArenaBytes =
    kSharedBytesWithOptIn + (kMaxArrays + 1) * (kGuardBytes + kAlignBytes);

std::size_t rounded_up(std::size_t bytes) {
  return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes;
}

}  // namespace

SharedMemory::SharedMemory() : storage_(kArenaBytes + kAlignBytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  base_ = storage_.data() + (kAlignBytes - address % kAlignBytes) % kAlignBytes;
}

void SharedMemory::begin_block(std::size_t dynamic_bytes, std::size_t limit_bytes) {
  arrays_.clear();
  used_bytes_ = 0;
  limit_bytes_ = limit_bytes;
  unpoison(base_, kArenaBytes);
  std::memset(base_, kGuardPattern, kArenaBytes);
  poison(base_, kArenaBytes);
  next_ = base_ + kGuardBytes;
  dynamic_ = dynamic_bytes == 0 ? nullptr : place(nullptr, dynamic_bytes, "dynamic shared memory");
}

unsigned char* SharedMemory::place(const void* site, std::size_t bytes, const char* name) {
  used_bytes_ += bytes;
  if (used_bytes_ > limit_bytes_ || arrays_.size() == kMaxArrays) {
    fail(BugKind::kLaunchLimit, "shared memory of " + std::to_string(used_bytes_) +
                                    " bytes (with " + name + ") where the launch may use " +
                                    std::to_string(limit_bytes_));
  }
  unsigned char* begin = next_;
  next_ += rounded_up(bytes) + kGuardBytes;
  unpoison(begin, bytes);
  std::memset(begin, kPoisonPattern, bytes);
  arrays_.push_back({site, name, begin, bytes});
  return begin;
}

void* SharedMemory::array_at(const void* site, std::size_t bytes, const char* name) {
  for (const Array& array : arrays_) {
    if (array.site == site) return array.begin;
  }
  return place(site, bytes, name);
}

void SharedMemory::end_block() {
  unpoison(base_, kArenaBytes);
  const unsigned char* guard = base_;
  for (std::size_t i = 0; i <= arrays_.size(); ++i) {
    const unsigned char* guard_end = i < arrays_.size() ? arrays_[i].begin : next_;
    for (; guard < guard_end; ++guard) {
      if (*guard == kGuardPattern) continue;
      const Array& near = arrays_[i == 0 ? 0 : i - 1];
      fail(BugKind::kSharedOverrun, std::string("a write outside ") + near.name + " (" +
                                        std::to_string(near.bytes) + " bytes), at offset " +
                                        std::to_string(guard - near.begin));
    }
    if (i < arrays_.size()) guard = arrays_[i].begin + arrays_[i].bytes;
  }
}

bool SharedMemory::contains(const void* address) const {
  const auto* p = static_cast<const unsigned char*>(address);
  return p >= base_ && p < base_ + kArenaBytes;
}

bool SharedMemory::allocated(const void* address, std::size_t bytes) const {
  const auto* p = static_cast<const unsigned char*>(address);
  for (const Array& array : arrays_) {
    if (p >= array.begin && p + bytes <= array.begin + array.bytes) return true;
  }
  return false;
}

}  // namespace cuda_host
