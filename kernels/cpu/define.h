// How a source file of this folder defines a record's three overloads (common/kernel.h): it writes
// `Launch make(P, cpu, scratch)` and, where scratch is wanted, `uint64_t scratch_of(P)`.
#pragma once

#include "kernels/common/kernel.h"

namespace diabolo::kernels::cpu {

template <class Call>
uint64_t scratch_of(const Call&) {
  return 0;
}

}  // namespace diabolo::kernels::cpu

#define DIABOLO_CPU_DEFINE(...)                                                    \
  const char* refusal(const __VA_ARGS__&, const CpuFeatures&) {                    \
    return nullptr;                                                                \
  }                                                                                \
  uint64_t scratch_bytes(const __VA_ARGS__& call, const CpuFeatures&) {            \
    return scratch_of(call);                                                       \
  }                                                                                \
  Launch prepare(const __VA_ARGS__& call, const CpuFeatures& cpu, void* scratch) { \
    return make(call, cpu, scratch);                                               \
  }
