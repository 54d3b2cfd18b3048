// Which dense products cuBLASLt takes, and the scratch that it wants. Plain C++, built everywhere.
#include "kernels/cuda/choose.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cublaslt_library.h"

namespace diabolo::kernels::cuda::cublaslt {
namespace {

constexpr int64_t kRowBytes = 16;  // what its kernels for tensor cores load at once
constexpr int64_t kMaxExtent = 0x7FFFFFFF;

Extents extents_of(const DenseShape& s, bool is_forward) {
  return is_forward ? Extents{s.B, s.O, s.I} : Extents{s.B, s.I, s.O};
}

// Everything that needs no look at this machine comes before the library.
template <class P>
std::string refuse(const P& p, const Extents& e, bool is_bf16, const Device& device) {
  if (const char* why_not = cuda::refusal(p, device)) return why_not;
  if (!is_bf16 && device.allows_tf32)
    return "how it rounds to tf32 is not documented; ours rounds to nearest";
  if (e.m > kMaxExtent) return "more than 2^31 rows";
  const int64_t elem_bytes = is_bf16 ? 2 : 4;
  if (e.n * elem_bytes % kRowBytes != 0 || e.k * elem_bytes % kRowBytes != 0)
    return "a layer's rows are not multiples of 16 bytes";
  if (!is_expected_to_win(e, is_bf16, needs_finish(p), device))
    return "too small a product to be worth it: ours is expected to be faster";
  return cublaslt_library().why_not;
}

template <class P>
uint64_t scratch(const P& p, int64_t n, bool is_bf16, const Device& device) {
  const bool holds_product = is_bf16 && needs_finish(p);
  const uint64_t product =
      holds_product ? aligned_bytes(4 * static_cast<uint64_t>(p.shape.B * n)) : 0;
  return workspace_bytes(device) + product;
}

}  // namespace

bool is_expected_to_win(const Extents& e, bool is_bf16, bool needs_finish, const Device& device) {
  constexpr int64_t kDepthOfBf16 = 16, kDepthOfF32 = 1;  // for each multiprocessor
  if (tile_count(e.m, e.n, TileSize::kLarge) < device.multiprocessors) return false;
  const int64_t depth = is_bf16 ? kDepthOfBf16 : kDepthOfF32;
  return !needs_finish || e.k >= depth * device.multiprocessors;
}

uint64_t workspace_bytes(const Device& device) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  return device.arch >= 90 ? 32 * kMiB : 4 * kMiB;
}

// One line a record: whether it is the forward product, and whether its operands are bf16.
#define DIABOLO_CUBLASLT_CHOICE(P, IS_FORWARD, IS_BF16)                    \
  std::string refusal(const P& p, const Device& device) {                  \
    return refuse(p, extents_of(p.shape, IS_FORWARD), IS_BF16, device);    \
  }                                                                        \
  uint64_t scratch_bytes(const P& p, const Device& device) {               \
    return scratch(p, extents_of(p.shape, IS_FORWARD).n, IS_BF16, device); \
  }

DIABOLO_CUBLASLT_CHOICE(DenseForward<float>, true, false)
DIABOLO_CUBLASLT_CHOICE(DenseForward<Bf16>, true, true)
DIABOLO_CUBLASLT_CHOICE(DenseDataGrad<float>, false, false)
DIABOLO_CUBLASLT_CHOICE(DenseDataGrad<Bf16>, false, true)
#undef DIABOLO_CUBLASLT_CHOICE

}  // namespace diabolo::kernels::cuda::cublaslt
