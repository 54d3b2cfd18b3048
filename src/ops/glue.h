// From the records of kernels/ to the entries of an op's list. An op's source file states a struct
//
//   struct DenseForwardGlue {
//     template <class P> static P params(const Call&);          the record of a call
//     template <class P> static void reference(const P&);       the plain loops
//   };
//
// and gets entries for a record P by reference_kernel<Glue, P…>, cpu_kernel<Glue, P> and
// cuda_kernel<Glue, P>, cublaslt_kernel<Glue, P>: which types a record takes is read off its
// template arguments.
#pragma once

#include <string>
#include <type_traits>

#include "base/error.h"
#include "kernels/common/kernel.h"
#include "kernels/cuda/cublaslt.h"
#include "ops/op.h"

namespace diabolo::glue {

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::kF32;
  if constexpr (std::is_same_v<T, double>) return DType::kF64;
  if constexpr (std::is_same_v<T, kernels::Bf16>) return DType::kBf16;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::kU8;
}

// The scalar type of X<T>, and of Gather<Source, T>; void for a record that is no template.
template <class P>
struct ScalarOf {
  using Type = void;
};
template <template <class> class P, class T>
struct ScalarOf<P<T>> {
  using Type = T;
};
template <template <class, class> class P, class Source, class T>
struct ScalarOf<P<Source, T>> {
  using Type = T;
};

// True if the call's types are those of the record: its first input, or for a gather its source and
// its result.
template <class P>
struct TypesOf {
  static bool fit(const Call&) { return true; }
};
template <template <class> class P, class T>
struct TypesOf<P<T>> {
  static bool fit(const Call& call) { return call.in[0].desc.dtype() == dtype_of<T>(); }
};
template <template <class, class> class P, class Source, class T>
struct TypesOf<P<Source, T>> {
  static bool fit(const Call& call) {
    return call.in[0].desc.dtype() == dtype_of<Source>() &&
           call.out[0].desc.dtype() == dtype_of<T>();
  }
};

template <class Glue, class P>
std::string accepts_cpu(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kHost) return "runs on the host";
  if (!TypesOf<P>::fit(call)) return cat("is not for ", call.in[0].desc.text());
  const char* why_not = refusal(Glue::template params<P>(call), device.cpu);
  return why_not ? why_not : "";
}

template <class Glue, class P>
uint64_t scratch_bytes_cpu(const Call& call, const DeviceInfo& device) {
  return scratch_bytes(Glue::template params<P>(call), device.cpu);
}

template <class Glue, class P>
kernels::Launch prepare_cpu(const Call& call, const DeviceInfo& device, void* scratch) {
  return prepare(Glue::template params<P>(call), device.cpu, scratch);
}

template <class Glue, class P>
constexpr Kernel cpu_kernel(const char* name, std::span<const InPlace> in_place = {}) {
  return {.name = name,
          .space = Space::kHost,
          .in_place = in_place,
          .accepts = accepts_cpu<Glue, P>,
          .scratch_bytes = scratch_bytes_cpu<Glue, P>,
          .prepare = prepare_cpu<Glue, P>};
}

template <class Glue, class P>
std::string accepts_cuda(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kCuda) return "runs on CUDA devices";
  if (!TypesOf<P>::fit(call)) return cat("is not for ", call.in[0].desc.text());
  const char* why_not = refusal(Glue::template params<P>(call), device.cuda);
  return why_not ? why_not : "";
}

template <class Glue, class P>
uint64_t scratch_bytes_cuda(const Call& call, const DeviceInfo& device) {
  return scratch_bytes(Glue::template params<P>(call), device.cuda);
}

template <class Glue, class P>
uint64_t zeroed_bytes_cuda(const Call& call, const DeviceInfo& device) {
  return zeroed_bytes(Glue::template params<P>(call), device.cuda);
}

#if DIABOLO_WITH_CUDA
template <class Glue, class P>
kernels::Launch prepare_cuda(const Call& call, const DeviceInfo& device, void* scratch) {
  P params = Glue::template params<P>(call);
  if constexpr (requires { params.arrivals; })
    params.arrivals = static_cast<uint32_t*>(call.zeroed);
  return prepare(params, device.cuda, scratch);
}
#endif

template <class Glue, class P>
std::vector<kernels::Parts> parts_cuda(const Call& call, const DeviceInfo& device, void* scratch) {
  return parts(Glue::template params<P>(call), device.cuda, scratch);
}

// Named: within an initializer clang-format takes a requires-expression for something else.
template <class P>
constexpr bool kAddsParts = requires(P p) {
  p.grad_parts;
};
template <class P>
constexpr bool kLeavesParts = requires(P p) {
  p.leaves_parts;
};

template <class Glue, class P>
constexpr Kernel cuda_kernel(const char* name, std::span<const InPlace> in_place = {},
                             const Join* join = nullptr) {
  Kernel kernel{.name = name,
                .space = Space::kCuda,
                .in_place = in_place,
                .accepts = accepts_cuda<Glue, P>,
                .scratch_bytes = scratch_bytes_cuda<Glue, P>,
                .zeroed_bytes = zeroed_bytes_cuda<Glue, P>,
                .adds_parts = kAddsParts<P>,
                .join = join,
                .prepare = nullptr};
  if constexpr (kLeavesParts<P>) kernel.parts = parts_cuda<Glue, P>;
#if DIABOLO_WITH_CUDA
  kernel.prepare = prepare_cuda<Glue, P>;
#endif
  return kernel;
}

// Two records in one launch: joins(first, second, device) says whether that is quicker, or whether
// it can be done at all.
template <class GlueA, class A, class GlueB, class B>
bool pays_cuda(const Call& first, const Call& second, const DeviceInfo& device) {
  return joins(GlueA::template params<A>(first), GlueB::template params<B>(second), device.cuda);
}

#if DIABOLO_WITH_CUDA
template <class GlueA, class A, class GlueB, class B>
kernels::Launch prepare_joined_cuda(const Call& first, const Call& second, const DeviceInfo& device,
                                    void* first_scratch) {
  B params = GlueB::template params<B>(second);
  if constexpr (requires { params.arrivals; })
    params.arrivals = static_cast<uint32_t*>(second.zeroed);
  return prepare_joined(GlueA::template params<A>(first), params, device.cuda, first_scratch);
}
#endif

template <class GlueA, class A, class GlueB, class B>
constexpr Join cuda_join(const Kernel& first, bool is_ordered, uint64_t zeroed_bytes = 0) {
  Join join{&first, is_ordered, zeroed_bytes, pays_cuda<GlueA, A, GlueB, B>, nullptr};
#if DIABOLO_WITH_CUDA
  join.prepare = prepare_joined_cuda<GlueA, A, GlueB, B>;
#endif
  return join;
}

// The same record computed by cuBLASLt: only where the policy is `fast`, see
// kernels/cuda/cublaslt.h.
template <class Glue, class P>
std::string accepts_cublaslt(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kCuda) return "runs on CUDA devices";
  if (!TypesOf<P>::fit(call)) return cat("is not for ", call.in[0].desc.text());
  return kernels::cuda::cublaslt::refusal(Glue::template params<P>(call), device.cuda);
}

template <class Glue, class P>
uint64_t scratch_bytes_cublaslt(const Call& call, const DeviceInfo& device) {
  return kernels::cuda::cublaslt::scratch_bytes(Glue::template params<P>(call), device.cuda);
}

#if DIABOLO_WITH_CUDA
template <class Glue, class P>
kernels::Launch prepare_cublaslt(const Call& call, const DeviceInfo& device, void* scratch) {
  try {
    return kernels::cuda::cublaslt::prepare(Glue::template params<P>(call), device.cuda,
                                            device.index, scratch);
  } catch (const kernels::cuda::LaunchError& error) {
    throw Error(ErrorCode::kDevice, error.what());
  }
}
#endif

template <class Glue, class P>
constexpr Kernel cublaslt_kernel(const char* name) {
  Kernel kernel{.name = name,
                .space = Space::kCuda,
                .needs_policy_fast = true,
                .in_place = {},
                .accepts = accepts_cublaslt<Glue, P>,
                .scratch_bytes = scratch_bytes_cublaslt<Glue, P>,
                .prepare = nullptr};
#if DIABOLO_WITH_CUDA
  kernel.prepare = prepare_cublaslt<Glue, P>;
#endif
  return kernel;
}

template <class... Ps>
std::string accepts_reference(const Call& call, const DeviceInfo& device) {
  if (device.space != Space::kHost) return "runs on the host";
  if ((TypesOf<Ps>::fit(call) || ...)) return {};
  return cat("is not for ", call.in[0].desc.text());
}

inline uint64_t no_scratch(const Call&, const DeviceInfo&) {
  return 0;
}

template <class Glue, class... Ps>
kernels::Launch prepare_reference(const Call& call, const DeviceInfo&, void*) {
  kernels::Launch launch;
  const auto take = [&]<class P>(std::type_identity<P>) {
    if (!TypesOf<P>::fit(call)) return false;
    launch = [p = Glue::template params<P>(call)](void*) { Glue::reference(p); };
    return true;
  };
  (take(std::type_identity<Ps>{}) || ...);
  return launch;
}

template <class Glue, class... Ps>
constexpr Kernel reference_kernel(const char* name, std::span<const InPlace> in_place = {}) {
  return {.name = name,
          .space = Space::kHost,
          .is_reference = true,
          .in_place = in_place,
          .accepts = accepts_reference<Ps...>,
          .scratch_bytes = no_scratch,
          .prepare = prepare_reference<Glue, Ps...>};
}

// --- reading a call ----------------------------------------------------------------------------

template <class T>
const T* input(const Call& call, size_t index) {
  return call.in[index].as<const T>();
}
template <class T>
T* output(const Call& call, size_t index) {
  return call.out[index].as<T>();
}

// --- checking shapes in infer ------------------------------------------------------------------

// Throws Error{kUsage} naming the operand, what is wanted and what came.
void expect(bool holds, const char* operand, const std::string& wanted, const TensorDesc& found);
void expect_desc(const char* operand, const TensorDesc& wanted, const TensorDesc& found);
void expect_count(size_t wanted, size_t found);
// A float type that kernels compute in: f32, bf16 or f64.
void expect_compute_type(const char* operand, const TensorDesc& found);
// The same, with rows of whatever rank.
void expect_rows(const char* operand, const TensorDesc& found);
DType accum_dtype(DType dtype);  // f32 for bf16, else the same

}  // namespace diabolo::glue
