// The dozen functions of cuBLASLt that we call, their numbers and records, as NVIDIA documents them
// (cuBLAS library, "Using the cuBLASLt API").
//
// Declared here and not taken from cublasLt.h: the library is opened at run time or not at all, so
// a build needs neither it nor its headers, which many toolkit installations lack. Where the header
// is there, tests/cuda_native/cublaslt_numbers.cpp holds every line of this file against it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace diabolo::kernels::cuda::cublaslt {

using Handle = struct OpaqueHandle*;
using MatmulDesc = struct OpaqueMatmulDesc*;
using MatrixLayout = struct OpaqueMatrixLayout*;
using Preference = struct OpaquePreference*;

enum Status : int {
  kSuccess = 0,
  kNotInitialized = 1,
  kInvalidValue = 7,
  kExecutionFailed = 13,
  kNotSupported = 15,
};
enum DataType : int { kR32F = 0, kR16BF = 14 };
enum ComputeType : int { kCompute32F = 68 };
enum Operation : int { kOpN = 0, kOpT = 1 };
enum Epilogue : int { kEpilogueDefault = 1, kEpilogueBias = 4 };
enum ReductionScheme : int { kReductionComputeType = 2 };

enum DescAttribute : int {
  kDescTransA = 3,
  kDescTransB = 4,
  kDescEpilogue = 7,
  kDescBiasPointer = 8,
};
enum PreferenceAttribute : int {
  kPreferenceMaxWorkspaceBytes = 1,
  kPreferenceReductionSchemeMask = 3,
  kPreferenceMinAlignmentA = 5,
  kPreferenceMinAlignmentB = 6,
  kPreferenceMinAlignmentC = 7,
  kPreferenceMinAlignmentD = 8,
};

struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

// f(return type, member, symbol, arguments): the functions; cublaslt.cpp makes a table of them.
#define DIABOLO_CUBLASLT_FUNCTIONS(f)                                                              \
  f(Status, create, cublasLtCreate, Handle*) f(Status, destroy, cublasLtDestroy, Handle)           \
      f(const char*, status_name, cublasLtGetStatusName, Status)                                   \
          f(Status, desc_create, cublasLtMatmulDescCreate, MatmulDesc*, ComputeType, DataType)     \
              f(Status, desc_destroy, cublasLtMatmulDescDestroy, MatmulDesc) f(                    \
                  Status, desc_set, cublasLtMatmulDescSetAttribute, MatmulDesc, DescAttribute,     \
                  const void*, size_t) f(Status, layout_create, cublasLtMatrixLayoutCreate,        \
                                         MatrixLayout*, DataType, uint64_t, uint64_t, int64_t)     \
                  f(Status, layout_destroy, cublasLtMatrixLayoutDestroy, MatrixLayout)             \
                      f(Status, preference_create, cublasLtMatmulPreferenceCreate, Preference*) f( \
                          Status, preference_destroy, cublasLtMatmulPreferenceDestroy, Preference) \
                          f(Status, preference_set, cublasLtMatmulPreferenceSetAttribute,          \
                            Preference, PreferenceAttribute, const void*, size_t)                  \
                              f(Status, heuristic, cublasLtMatmulAlgoGetHeuristic, Handle,         \
                                MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout,              \
                                MatrixLayout, Preference, int, HeuristicResult*, int*)             \
                                  f(Status, matmul, cublasLtMatmul, Handle, MatmulDesc,            \
                                    const void*, const void*, MatrixLayout, const void*,           \
                                    MatrixLayout, const void*, const void*, MatrixLayout, void*,   \
                                    MatrixLayout, const Algorithm*, void*, size_t, void*)

}  // namespace diabolo::kernels::cuda::cublaslt
