// Loops over fixed chunks on the calling thread's team (thread_team.h), on that thread alone where
// it has none. Which thread takes a chunk never shows in a result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>

namespace diabolo::kernels::cpu {

namespace detail {
void parallel_chunks(int threads, int64_t count, void (*call)(const void*, int64_t),
                     const void* body);
}

// Calls body(chunk) once for every chunk in [0, count). `body` must not throw.
template <class Body>
void parallel_for(int threads, int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (int64_t chunk = 0; chunk < count; ++chunk) body(chunk);
    return;
  }
  detail::parallel_chunks(
      threads, count,
      [](const void* erased, int64_t chunk) { (*static_cast<const Body*>(erased))(chunk); }, &body);
}

// The same for a body that may throw: what is thrown first is thrown after the loop.
template <class Body>
void guarded_parallel_for(int threads, int64_t count, const Body& body) {
  std::mutex mutex;
  std::exception_ptr failure;
  parallel_for(threads, count, [&](int64_t chunk) {
    try {
      body(chunk);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

// Work that takes one core less than this is not worth a second one: to hand it over and to wait
// for its end costs 2 us where both are awake, 10 us and more where one sleeps.
inline constexpr double kLeastNanoseconds = 15e3;

// Threads, at most `most`, for work that takes one core so long. A rough estimate will do; it must
// depend on nothing but shapes, since it is what makes results of one thread count the same.
int threads_for(int most, double nanoseconds);

inline int64_t chunk_count(int64_t n, int64_t chunk) {
  return (n + chunk - 1) / chunk;
}

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

inline Range chunk_range(int64_t index, int64_t chunk, int64_t n) {
  return {index * chunk, std::min(n, (index + 1) * chunk)};
}

}  // namespace diabolo::kernels::cpu
