// A CUDA device as the choice of kernels sees it, and what refuses a call: plain C++, no CUDA
// header is needed. The overloads that a record has: kernels/common/kernel.h.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace diabolo::kernels::cuda {

// What the choice of a kernel may depend on.
struct Device {
  int arch = 80;  // compute capability, major * 10 + minor
  int multiprocessors = 108;
  int64_t shared_bytes_per_block = 166912;  // with opt-in
  bool allows_tf32 = false;                 // products of f32 may round their operands to tf32
};

// A launch that the CUDA runtime refused; the message has the kernel's name and the runtime's text.
class LaunchError : public std::runtime_error {
 public:
  LaunchError(int cuda_error, const char* message)
      : std::runtime_error(message), cuda_error_(cuda_error) {}
  int cuda_error() const { return cuda_error_; }

 private:
  int cuda_error_;
};

// Reasons that hold for every kernel (choose.cpp); null if there is none.
const char* refuse_device(const Device& device);
const char* refuse_count(int64_t n, const Device& device);
const char* refuse_matrix(int64_t B, int64_t D, const Device& device);

// By the extents that a record has: a shape of its family, rows and columns, a count; or none that
// could be too large, and then it says so. Others have an overload of their own.
template <class P>
const char* refusal(const P& p, const Device& device) {
  if constexpr (requires { p.shape; }) {
    return refuse_shape(p.shape, device);
  } else if constexpr (requires {
                         p.B;
                         p.D;
                       }) {
    return refuse_matrix(p.B, p.D, device);
  } else if constexpr (requires { p.n; }) {
    return refuse_count(p.n, device);
  } else {
    static_assert(
        requires { typename P::NoExtents; }, "what refuses this record?");
    return refuse_device(device);
  }
}

template <class P>
uint64_t scratch_bytes(const P&, const Device&) {
  return 0;
}

// Bytes that are zeros when a launch starts and that it leaves so: counts of blocks that arrived
// (device/arrive.cuh). Where a record asks for some, its `arrivals` points to them.
template <class P>
uint64_t zeroed_bytes(const P&, const Device&) {
  return 0;
}

// Bytes rounded up so that what follows is 256-byte aligned.
constexpr uint64_t aligned_bytes(uint64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// What the partial sums of a sum over a flat array take.
uint64_t flat_sum_bytes(int64_t n);

}  // namespace diabolo::kernels::cuda
