// One product of cuBLASLt: descriptors made and the algorithm picked once, then launches.
//
// The library thinks in columns. A row-major matrix read in columns is its transpose, so the
// product that it is asked for is d^T [n,m] = w^T [n,k] a^T [k,m], with w^T as its first operand:
// the bias then runs along its rows, which is where it adds one.
#include "kernels/cuda/cublaslt.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/cublaslt_api.h"
#include "kernels/cuda/cublaslt_library.h"

namespace diabolo::kernels::cuda::cublaslt {
namespace {

struct Functions {
#define DIABOLO_MEMBER(result, member, symbol, ...) result (*member)(__VA_ARGS__) = nullptr;
  DIABOLO_CUBLASLT_FUNCTIONS(DIABOLO_MEMBER)
#undef DIABOLO_MEMBER
};

[[noreturn]] void fail(const std::string& what, cudaError_t error) {
  throw LaunchError(
      static_cast<int>(error),
      (cublaslt_library().name + ": " + what + "; --policy strict does without it").c_str());
}

Functions load() {
  const OpenedLibrary& library = cublaslt_library();
  if (!library.handle) fail(library.why_not, cudaErrorUnknown);
  Functions functions;
  const auto find = [&](auto& member, const char* symbol) {
    void* address = dlsym(library.handle, symbol);
    if (!address) fail(std::string("has no ") + symbol, cudaErrorUnknown);
    member = reinterpret_cast<std::remove_reference_t<decltype(member)>>(address);
  };
#define DIABOLO_FIND(result, member, symbol, ...) find(functions.member, #symbol);
  DIABOLO_CUBLASLT_FUNCTIONS(DIABOLO_FIND)
#undef DIABOLO_FIND
  return functions;
}

const Functions& functions() {
  static const Functions table = load();
  return table;
}

void check(Status status, const char* call) {
  if (status == kSuccess) return;
  const bool is_device = status == kExecutionFailed;
  fail(std::string(call) + ": " + functions().status_name(status),
       is_device ? cudaErrorLaunchFailure : cudaErrorUnknown);
}

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  throw LaunchError(static_cast<int>(status),
                    (std::string(call) + ": " + cudaGetErrorString(status)).c_str());
}

// What one of the library's `create` functions makes, given back by its `destroy`.
template <class T, Status (*Functions::*kDestroy)(T)>
class Owned {
 public:
  template <class... Arguments>
  explicit Owned(const char* call, Status (*create)(T*, Arguments...),
                 std::type_identity_t<Arguments>... arguments) {
    check(create(&value_, arguments...), call);
  }
  ~Owned() { (void)(functions().*kDestroy)(value_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T get() const { return value_; }

 private:
  T value_ = nullptr;
};
using OwnedHandle = Owned<Handle, &Functions::destroy>;
using OwnedDesc = Owned<MatmulDesc, &Functions::desc_destroy>;
using OwnedLayout = Owned<MatrixLayout, &Functions::layout_destroy>;
using OwnedPreference = Owned<Preference, &Functions::preference_destroy>;

// A handle belongs to the device that is current when it is made.
class CurrentDevice {
 public:
  explicit CurrentDevice(int index) {
    check_cuda(cudaGetDevice(&previous_), "cudaGetDevice");
    check_cuda(cudaSetDevice(index), "cudaSetDevice");
  }
  ~CurrentDevice() { (void)cudaSetDevice(previous_); }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int previous_ = 0;
};

// One handle a device, for as long as some product uses it. It may be used by several threads.
std::shared_ptr<OwnedHandle> handle_of(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<OwnedHandle>> handles;
  const std::lock_guard lock(mutex);
  std::shared_ptr<OwnedHandle> handle = handles[index].lock();
  if (handle) return handle;
  handle = std::make_shared<OwnedHandle>("cublasLtCreate", functions().create);
  handles[index] = handle;
  return handle;
}

// The largest power of two, up to 256, that divides the address.
uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address) | 256U;
  return static_cast<uint32_t>(bits & ~(bits - 1));
}

class PreparedProduct {
 public:
  PreparedProduct(const Product& p, const Device& device, int index, void* workspace)
      : p_(p),
        handle_(handle_of(index)),
        desc_("cublasLtMatmulDescCreate", functions().desc_create, kCompute32F, kR32F),
        w_(p.w_is_transposed ? matrix(p.is_bf16, p.k, p.n) : matrix(p.is_bf16, p.n, p.k)),
        a_(matrix(p.is_bf16, p.k, p.m)),
        d_(matrix(p.d_is_bf16, p.n, p.m)),
        workspace_(workspace),
        workspace_bytes_(cublaslt::workspace_bytes(device)) {
    set(kDescTransA, p.w_is_transposed ? kOpT : kOpN);
    set(kDescTransB, kOpN);
    set(kDescEpilogue, p.bias ? kEpilogueBias : kEpilogueDefault);
    if (p.bias) set(kDescBiasPointer, p.bias);
    has_algorithm_ = pick();
  }

  bool has_algorithm() const { return has_algorithm_; }

  void launch(void* stream) const {
    constexpr float kOne = 1, kZero = 0;
    check(functions().matmul(handle_->get(), desc_.get(), &kOne, p_.w, w_.get(), p_.a, a_.get(),
                             &kZero, p_.d, d_.get(), p_.d, d_.get(), &algorithm_, workspace_,
                             workspace_bytes_, stream),
          "cublasLtMatmul");
  }

 private:
  // Of `rows` x `columns` in columns without gaps.
  static OwnedLayout matrix(bool is_bf16, int64_t rows, int64_t columns) {
    return OwnedLayout("cublasLtMatrixLayoutCreate", functions().layout_create,
                       is_bf16 ? kR16BF : kR32F, static_cast<uint64_t>(rows),
                       static_cast<uint64_t>(columns), rows);
  }

  template <class T>
  void set(DescAttribute attribute, const T& value) {
    check(functions().desc_set(desc_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }

  // False if the library has none.
  bool pick() {
    const OwnedPreference preference("cublasLtMatmulPreferenceCreate",
                                     functions().preference_create);
    const auto prefer = [&](PreferenceAttribute attribute, auto value) {
      check(functions().preference_set(preference.get(), attribute, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(kPreferenceMaxWorkspaceBytes, workspace_bytes_);
    // Parts of a split sum are added in f32 and in order, never in bf16 and never in place.
    prefer(kPreferenceReductionSchemeMask, static_cast<uint32_t>(kReductionComputeType));
    // The bias has no attribute of its own; it is taken to be aligned as the result is.
    const uint32_t d_alignment =
        std::min(alignment_of(p_.d), p_.bias ? alignment_of(p_.bias) : 256U);
    prefer(kPreferenceMinAlignmentA, alignment_of(p_.w));
    prefer(kPreferenceMinAlignmentB, alignment_of(p_.a));
    prefer(kPreferenceMinAlignmentC, d_alignment);
    prefer(kPreferenceMinAlignmentD, d_alignment);
    HeuristicResult result{};
    int count = 0;
    const Status status =
        functions().heuristic(handle_->get(), desc_.get(), w_.get(), a_.get(), d_.get(), d_.get(),
                              preference.get(), 1, &result, &count);
    if (status == kNotSupported || (status == kSuccess && count < 1)) return false;
    check(status, "cublasLtMatmulAlgoGetHeuristic");
    algorithm_ = result.algorithm;
    return result.state == kSuccess;
  }

  Product p_;
  std::shared_ptr<OwnedHandle> handle_;
  OwnedDesc desc_;
  OwnedLayout w_, a_, d_;
  void* workspace_;
  size_t workspace_bytes_;
  Algorithm algorithm_{};
  bool has_algorithm_ = false;
};

}  // namespace

Launch prepare_product(const Product& product, const Device& device, int index, void* workspace) {
  const CurrentDevice current(index);
  const auto prepared = std::make_shared<PreparedProduct>(product, device, index, workspace);
  if (!prepared->has_algorithm()) return {};
  return [prepared](void* stream) { prepared->launch(stream); };
}

}  // namespace diabolo::kernels::cuda::cublaslt
