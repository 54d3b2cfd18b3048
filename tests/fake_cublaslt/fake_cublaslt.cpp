// A libcublasLt for the fake device: the functions of kernels/cuda/cublaslt_api.h, computing on the
// fake device's memory. Built as a shared object of the real one's name and found as that one is,
// by dlopen, through the test programs' run path.
//
// It refuses what the real one refuses (shapes and leading dimensions that do not fit, types and
// epilogues that it has no kernel for, a workspace that is too small, buffers that are aligned less
// than the algorithm was chosen for, an algorithm of another problem), scribbles over all of the
// workspace that it asked for, and waits in its stream like any kernel. With the environment
// variable FAKE_CUBLASLT_HAS_NOTHING it has no algorithm for anything.
#include <bit>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "fake_cuda/library_work.h"
#include "kernels/common/scalar.h"
#include "kernels/cuda/cublaslt_api.h"

namespace diabolo::kernels::cuda::cublaslt {

struct OpaqueHandle {};
struct OpaqueMatmulDesc {
  ComputeType compute;
  DataType scale;
  Operation trans_a = kOpN, trans_b = kOpN;
  Epilogue epilogue = kEpilogueDefault;
  const float* bias = nullptr;
};
struct OpaqueMatrixLayout {
  DataType type;
  uint64_t rows, columns;
  int64_t ld;
};
struct OpaquePreference {
  uint64_t workspace_bytes = 0;
  uint32_t reductions = 0xFFFFFFFF;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace {

constexpr uint64_t kWorkspace = 70000;  // what every algorithm asks for if it may
constexpr uint64_t kMagic = 0x66616b65;

// One product, checked.
struct Problem {
  int64_t m, n, k;
  OpaqueMatmulDesc desc;
  OpaqueMatrixLayout a, b, d;
};

bool is_well_formed(const OpaqueMatrixLayout& layout) {
  return layout.rows > 0 && layout.columns > 0 && layout.ld >= static_cast<int64_t>(layout.rows);
}

bool has_kernel(const Problem& p) {
  const bool is_f32 = p.a.type == kR32F && p.d.type == kR32F;
  const bool is_bf16 = p.a.type == kR16BF && (p.d.type == kR32F || p.d.type == kR16BF);
  if (!(is_f32 || is_bf16) || p.a.type != p.b.type) return false;
  if (p.desc.compute != kCompute32F || p.desc.scale != kR32F) return false;
  if (p.desc.epilogue == kEpilogueDefault) return true;
  // The bias has the type of D, and we only ever hand over f32.
  return p.desc.epilogue == kEpilogueBias && p.desc.bias != nullptr && p.d.type == kR32F;
}

Status problem_of(MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d,
                  Problem& p) {
  if (!desc || !a || !b || !c || !d) return kInvalidValue;
  for (const MatrixLayout layout : {a, b, c, d})
    if (!is_well_formed(*layout)) return kInvalidValue;
  const bool ta = desc->trans_a == kOpT, tb = desc->trans_b == kOpT;
  const uint64_t m = ta ? a->columns : a->rows, k = ta ? a->rows : a->columns;
  const uint64_t n = tb ? b->rows : b->columns, inner = tb ? b->columns : b->rows;
  if (k != inner || d->rows != m || d->columns != n) return kInvalidValue;
  if (std::memcmp(c, d, sizeof *c) != 0) return kInvalidValue;
  p = {
      static_cast<int64_t>(m), static_cast<int64_t>(n), static_cast<int64_t>(k), *desc, *a, *b, *d};
  return has_kernel(p) ? kSuccess : kNotSupported;
}

// An algorithm is good for the problem that it was chosen for and no other.
uint64_t fingerprint(const Problem& p) {
  uint64_t hash = 14695981039346656037U;
  for (const int64_t value :
       {p.m, p.n, p.k, p.a.ld, p.b.ld, p.d.ld, int64_t{p.a.type}, int64_t{p.d.type},
        int64_t{p.desc.trans_a}, int64_t{p.desc.trans_b}, int64_t{p.desc.epilogue}})
    hash = (hash ^ static_cast<uint64_t>(value)) * 1099511628211U;
  return hash;
}

bool is_aligned(const void* data, uint64_t bytes) {
  return data && reinterpret_cast<uintptr_t>(data) % bytes == 0;
}

float value_at(const void* data, DataType type, int64_t at) {
  return type == kR32F ? static_cast<const float*>(data)[at]
                       : to_float(static_cast<const Bf16*>(data)[at]);
}

void compute(const Problem& p, const void* a, const void* b, void* d) {
  const bool ta = p.desc.trans_a == kOpT, tb = p.desc.trans_b == kOpT;
  for (int64_t column = 0; column < p.n; ++column) {
    for (int64_t row = 0; row < p.m; ++row) {
      float sum = 0;
      for (int64_t k = 0; k < p.k; ++k)
        sum += value_at(a, p.a.type, ta ? row * p.a.ld + k : k * p.a.ld + row) *
               value_at(b, p.b.type, tb ? k * p.b.ld + column : column * p.b.ld + k);
      if (p.desc.epilogue == kEpilogueBias) sum += p.desc.bias[row];
      const int64_t at = column * p.d.ld + row;
      if (p.d.type == kR32F)
        static_cast<float*>(d)[at] = sum;
      else
        static_cast<Bf16*>(d)[at] = narrow<Bf16>(sum);
    }
  }
}

template <class T>
bool read(T& to, const void* from, size_t bytes) {
  if (!from || bytes != sizeof to) return false;
  std::memcpy(&to, from, bytes);
  return true;
}

}  // namespace
}  // namespace diabolo::kernels::cuda::cublaslt

using namespace diabolo::kernels::cuda::cublaslt;

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

FAKE_EXPORT Status cublasLtCreate(Handle* handle) {
  *handle = new OpaqueHandle;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtDestroy(Handle handle) {
  delete handle;
  return kSuccess;
}

FAKE_EXPORT const char* cublasLtGetStatusName(Status status) {
  if (status == kSuccess) return "CUBLAS_STATUS_SUCCESS";
  if (status == kInvalidValue) return "CUBLAS_STATUS_INVALID_VALUE";
  if (status == kNotSupported) return "CUBLAS_STATUS_NOT_SUPPORTED";
  return "CUBLAS_STATUS_EXECUTION_FAILED";
}

FAKE_EXPORT Status cublasLtMatmulDescCreate(MatmulDesc* desc, ComputeType compute, DataType scale) {
  *desc = new OpaqueMatmulDesc{compute, scale};
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmulDescDestroy(MatmulDesc desc) {
  delete desc;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmulDescSetAttribute(MatmulDesc desc, DescAttribute attribute,
                                                  const void* value, size_t bytes) {
  bool is_read = false;
  if (attribute == kDescTransA) is_read = read(desc->trans_a, value, bytes);
  if (attribute == kDescTransB) is_read = read(desc->trans_b, value, bytes);
  if (attribute == kDescEpilogue) is_read = read(desc->epilogue, value, bytes);
  if (attribute == kDescBiasPointer) is_read = read(desc->bias, value, bytes);
  return is_read ? kSuccess : kInvalidValue;
}

FAKE_EXPORT Status cublasLtMatrixLayoutCreate(MatrixLayout* layout, DataType type, uint64_t rows,
                                              uint64_t columns, int64_t ld) {
  // Cleared first: layouts are compared byte by byte.
  auto made = std::make_unique<OpaqueMatrixLayout>();
  std::memset(made.get(), 0, sizeof *made);
  made->type = type;
  made->rows = rows;
  made->columns = columns;
  made->ld = ld;
  *layout = made.release();
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatrixLayoutDestroy(MatrixLayout layout) {
  delete layout;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmulPreferenceCreate(Preference* preference) {
  *preference = new OpaquePreference;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete preference;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmulPreferenceSetAttribute(Preference preference,
                                                        PreferenceAttribute attribute,
                                                        const void* value, size_t bytes) {
  bool is_read = false;
  if (attribute == kPreferenceMaxWorkspaceBytes)
    is_read = read(preference->workspace_bytes, value, bytes);
  if (attribute == kPreferenceReductionSchemeMask)
    is_read = read(preference->reductions, value, bytes);
  for (const auto first = kPreferenceMinAlignmentA; const int which : {0, 1, 2, 3})
    if (attribute == first + which) is_read = read(preference->alignment[which], value, bytes);
  return is_read ? kSuccess : kInvalidValue;
}

FAKE_EXPORT Status cublasLtMatmulAlgoGetHeuristic(Handle handle, MatmulDesc desc, MatrixLayout a,
                                                  MatrixLayout b, MatrixLayout c, MatrixLayout d,
                                                  Preference preference, int wanted,
                                                  HeuristicResult* results, int* count) {
  *count = 0;
  if (!handle || !preference || wanted < 1) return kInvalidValue;
  if (std::getenv("FAKE_CUBLASLT_HAS_NOTHING")) return kNotSupported;
  Problem problem;
  const Status status = problem_of(desc, a, b, c, d, problem);
  if (status != kSuccess) return status;
  const uint64_t workspace = preference->workspace_bytes >= kWorkspace ? kWorkspace : 0;
  HeuristicResult& result = results[0];
  result = {};
  result.workspace_bytes = workspace;
  uint64_t* data = result.algorithm.data;
  data[0] = kMagic;
  data[1] = fingerprint(problem);
  data[2] = workspace;
  for (int k = 0; k < 4; ++k) data[3 + k] = preference->alignment[k];
  *count = 1;
  return kSuccess;
}

FAKE_EXPORT Status cublasLtMatmul(Handle handle, MatmulDesc desc, const void* alpha, const void* a,
                                  MatrixLayout a_layout, const void* b, MatrixLayout b_layout,
                                  const void* beta, const void* c, MatrixLayout c_layout, void* d,
                                  MatrixLayout d_layout, const Algorithm* algorithm,
                                  void* workspace, size_t workspace_bytes, void* stream) {
  Problem p;
  const Status status = problem_of(desc, a_layout, b_layout, c_layout, d_layout, p);
  if (status != kSuccess) return status;
  if (!handle || !algorithm || c != d) return kInvalidValue;
  const uint64_t* data = algorithm->data;
  if (data[0] != kMagic || data[1] != fingerprint(p)) return kInvalidValue;
  if (data[2] > workspace_bytes || (data[2] > 0 && !is_aligned(workspace, 16)))
    return kInvalidValue;
  if (!is_aligned(a, data[3]) || !is_aligned(b, data[4]) || !is_aligned(d, data[6]))
    return kInvalidValue;
  if (p.desc.bias && !is_aligned(p.desc.bias, data[6])) return kInvalidValue;
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
    return kNotSupported;
  const uint64_t scribbled = data[2];
  const auto run = [=] {
    compute(p, a, b, d);
    std::memset(workspace, 0xA5, scribbled);  // last: a result that lies there is lost
  };
  return fake_cuda_library_work(stream, "cublasLt product", run) == 0 ? kSuccess : kExecutionFailed;
}
