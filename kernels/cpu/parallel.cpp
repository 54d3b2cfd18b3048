#include "kernels/cpu/parallel.h"

#include "kernels/cpu/thread_team.h"

namespace diabolo::kernels::cpu {

namespace detail {

void parallel_chunks(int threads, int64_t count, void (*call)(const void*, int64_t),
                     const void* body) {
  if (ThreadTeam* const team = ThreadTeam::current()) return team->run(threads, count, call, body);
  for (int64_t chunk = 0; chunk < count; ++chunk) call(body, chunk);
}

}  // namespace detail

int threads_for(int most, double nanoseconds) {
  const double worth = nanoseconds / kLeastNanoseconds;
  return worth >= most ? std::max(1, most) : std::max(1, static_cast<int>(worth));
}

}  // namespace diabolo::kernels::cpu
