// Loops over fixed chunks on the calling thread's OpenMP team, the one that oneDNN uses too; on one
// thread where the build has no OpenMP. Which thread takes a chunk never shows in a result.
#pragma once

#include <algorithm>
#include <cstdint>

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
