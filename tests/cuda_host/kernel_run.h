// What the tests of kernels share: a prepared launch on guarded scratch, and lengths with
// misaligned bases.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda_host/device_array.h"
#include "cuda_host/schedules.h"
#include "kernels/cuda/choose.h"

namespace diabolo::test {

template <class P>
void run_prepared(const P& p, const kernels::cuda::Device& device) {
  const DeviceArray<unsigned char> scratch(
      std::vector<unsigned char>(scratch_bytes(p, device), 0xFF));
  const kernels::Launch launch = prepare(p, device, scratch.data());
  run_on_device([&](void* stream) { launch(stream); });
}

// Runs the kernel of a record; its scratch holds NaN patterns before, its zeroed words are zeros
// before and after.
template <class P>
void run_kernel(P p, const kernels::cuda::Device& device = {}) {
  ASSERT_EQ(refusal(p, device), nullptr);
  if constexpr (requires { p.arrivals; }) {
    const std::vector<std::uint32_t> zeros(zeroed_bytes(p, device) / sizeof(std::uint32_t));
    if (zeros.empty()) return run_prepared(p, device);
    const DeviceArray<std::uint32_t> zeroed(zeros);
    p.arrivals = zeroed.data();
    run_prepared(p, device);
    EXPECT_EQ(zeroed.read(), zeros) << "zeroed words";
  } else {
    run_prepared(p, device);
  }
}

// Calls check(length, offset of the bases in elements) over lengths and alignments, under each
// schedule.
template <class Lengths, class Check>
void for_each_length(const Lengths& lengths, const Check& check) {
  for (const std::size_t n : lengths) {
    for (const std::size_t offset : {0, 1}) {
      SCOPED_TRACE("n " + std::to_string(n) + " offset " + std::to_string(offset));
      for_each_schedule([&] { check(n, offset); });
    }
  }
}

// Around the quad and the block.
inline constexpr std::size_t kLengths[] = {1, 3, 4, 5, 257, 1023, 1024, 1025};
// What choose_flat_sum gives one block, and one element more.
inline constexpr std::size_t kSumLengths[] = {1, 7, 1021, 16384, 16385, 40003};

inline constexpr double kEps = 0x1p-24;

}  // namespace diabolo::test
