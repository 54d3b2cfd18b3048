// Run-time choice of the instruction set for own loops. A loop is written once, as a lambda of
// plain C++; `on_isa` holds one copy of it compiled for each set, into which `flatten` inlines
// everything that it calls. Nothing is compiled with -m flags, so no inline function of a header
// can end up in the program in a version that the CPU does not have. Contraction to FMA is off for
// the whole project (but for product_loops.cpp): every copy gives the same bits.
#pragma once

#include "kernels/cpu/features.h"

namespace diabolo::kernels::cpu {

enum class Isa { kBaseline, kAvx2, kAvx512 };

inline Isa isa_of(const CpuFeatures& cpu) {
  return cpu.has_avx512 ? Isa::kAvx512 : (cpu.has_avx2 ? Isa::kAvx2 : Isa::kBaseline);
}

namespace detail {

#if defined(__x86_64__)
#define DIABOLO_AVX2 [[gnu::target("avx2,fma"), gnu::flatten, gnu::noinline]]
#define DIABOLO_AVX512 \
  [[gnu::target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"), gnu::flatten, gnu::noinline]]
#else
#define DIABOLO_AVX2 [[gnu::noinline]]
#define DIABOLO_AVX512 [[gnu::noinline]]
#endif

template <class Body>
DIABOLO_AVX2 void call_avx2(const Body& body) {
  body();
}
template <class Body>
DIABOLO_AVX512 void call_avx512(const Body& body) {
  body();
}
template <class Body>
[[gnu::flatten, gnu::noinline]] void call_baseline(const Body& body) {
  body();
}

#undef DIABOLO_AVX2
#undef DIABOLO_AVX512

}  // namespace detail

// Calls body() compiled for `isa`.
template <class Body>
void on_isa(Isa isa, const Body& body) {
  switch (isa) {
    case Isa::kAvx512:
      return detail::call_avx512(body);
    case Isa::kAvx2:
      return detail::call_avx2(body);
    case Isa::kBaseline:
      return detail::call_baseline(body);
  }
}

}  // namespace diabolo::kernels::cpu
