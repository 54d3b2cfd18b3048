// kernels/cuda/cublaslt_api.h against the toolkit's cublasLt.h, where that is installed: every
// number, the records' layout, every function's signature. Compiling it is the test.
#include "kernels/cuda/cublaslt_api.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#include <cstddef>
#include <type_traits>

namespace diabolo::kernels::cuda::cublaslt {
namespace {

static_assert(int{kSuccess} == CUBLAS_STATUS_SUCCESS);
static_assert(int{kNotInitialized} == CUBLAS_STATUS_NOT_INITIALIZED);
static_assert(int{kInvalidValue} == CUBLAS_STATUS_INVALID_VALUE);
static_assert(int{kExecutionFailed} == CUBLAS_STATUS_EXECUTION_FAILED);
static_assert(int{kNotSupported} == CUBLAS_STATUS_NOT_SUPPORTED);
static_assert(int{kR32F} == CUDA_R_32F && int{kR16BF} == CUDA_R_16BF);
static_assert(int{kCompute32F} == CUBLAS_COMPUTE_32F);
static_assert(int{kOpN} == CUBLAS_OP_N && int{kOpT} == CUBLAS_OP_T);
static_assert(int{kEpilogueDefault} == CUBLASLT_EPILOGUE_DEFAULT);
static_assert(int{kEpilogueBias} == CUBLASLT_EPILOGUE_BIAS);
static_assert(int{kReductionComputeType} == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(int{kDescTransA} == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(int{kDescTransB} == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(int{kDescEpilogue} == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(int{kDescBiasPointer} == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(int{kPreferenceMaxWorkspaceBytes} == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(int{kPreferenceReductionSchemeMask} == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
static_assert(int{kPreferenceMinAlignmentA} == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(int{kPreferenceMinAlignmentB} == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(int{kPreferenceMinAlignmentC} == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(int{kPreferenceMinAlignmentD} == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);

static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
using Theirs = cublasLtMatmulHeuristicResult_t;
static_assert(sizeof(HeuristicResult) == sizeof(Theirs));
static_assert(offsetof(HeuristicResult, workspace_bytes) == offsetof(Theirs, workspaceSize));
static_assert(offsetof(HeuristicResult, state) == offsetof(Theirs, state));
static_assert(offsetof(HeuristicResult, waves) == offsetof(Theirs, wavesCount));

// Two parameters are passed alike: both pointers, or both integers of one size.
template <class A, class B>
constexpr bool kPassedAlike =
    sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
    (std::is_pointer_v<A> || (!std::is_floating_point_v<A> && !std::is_floating_point_v<B>));

template <class A, class B>
constexpr bool kCalledAlike = false;
template <class R, class... As, class S, class... Bs>
requires(sizeof...(As) == sizeof...(Bs)) constexpr bool kCalledAlike<R(As...), S(Bs...)> =
    kPassedAlike<R, S> && (kPassedAlike<As, Bs> && ...);

// Inside this namespace the symbol would be looked up with ours first: there is none of that name.
#define DIABOLO_SAME(result, member, symbol, ...) \
  static_assert(kCalledAlike<result(__VA_ARGS__), decltype(::symbol)>, #symbol);
DIABOLO_CUBLASLT_FUNCTIONS(DIABOLO_SAME)
#undef DIABOLO_SAME

}  // namespace
}  // namespace diabolo::kernels::cuda::cublaslt
#endif
