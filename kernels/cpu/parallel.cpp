#include "kernels/cpu/parallel.h"

namespace diabolo::kernels::cpu::detail {

void parallel_chunks([[maybe_unused]] int threads, int64_t count,
                     void (*call)(const void*, int64_t), const void* body) {
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static)
#endif
  for (int64_t chunk = 0; chunk < count; ++chunk) call(body, chunk);
}

}  // namespace diabolo::kernels::cpu::detail
