// What the case files share: sizes, types, text.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/error.h"
#include "selftest/case.h"

namespace diabolo::selftest {

// A reference on all three scalars.
#define DIABOLO_REFERENCE(function)                                               \
  Reference {                                                                     \
    function<Tracked<InF32>>, function<Tracked<InTf32>>, function<Tracked<InF64>> \
  }
// The same for an op without products of matrices (which alone round to tf32).
#define DIABOLO_REFERENCE_WITHOUT_TF32(function)                \
  Reference {                                                   \
    function<Tracked<InF32>>, nullptr, function<Tracked<InF64>> \
  }

using Complex = std::complex<double>;

inline constexpr DType kComputeTypes[] = {DType::kF32, DType::kBf16, DType::kF64};

inline DType accum_of(DType dtype) {
  return dtype == DType::kBf16 ? DType::kF32 : dtype;
}

// The logarithm, sine and cosine behind a normal draw are the platform's: each within 2 units of
// 2^-24, of a radius of at most 5.9.
inline constexpr double kNormalError = 5.9 * 6 * 0x1p-24;

// B rows, I inputs, O outputs.
struct LayerSize {
  int64_t B, I, O;
  std::string text() const { return cat(B, "x", I, "x", O); }
};

// 1, primes, and one less and one more than the tiles in use (16, 64, 128), in each place.
inline constexpr LayerSize kLayerSizes[] = {
    {1, 1, 1},    {1, 17, 1},      {2, 3, 5},       {7, 13, 31},    {15, 16, 17}, {16, 64, 16},
    {17, 15, 64}, {63, 65, 64},    {64, 64, 64},    {65, 63, 65},   {1, 257, 33}, {257, 1, 3},
    {3, 1, 257},  {127, 129, 128}, {128, 128, 128}, {129, 127, 130}};
inline constexpr LayerSize kSmallLayers[] = {{7, 13, 31}, {33, 17, 66}};
inline constexpr LayerSize kRealLayer = {32, 784, 512};
// Several chunks of rows for the CPU's threads, each of several partial sums.
inline constexpr LayerSize kManyRowsLayer = {1100, 24, 201};

// Lengths of things without a shape.
inline constexpr int64_t kLengths[] = {1, 2, 7, 63, 64, 65, 127, 128, 129, 1000, 1021, 4099};
// Large ones: several chunks of the CPU's loops (8192) with a tail, and work for several threads.
inline constexpr int64_t kManyElems = 200003;
inline constexpr int64_t kManyRows = 403, kManyColumns = 515;

// Whether a case of a length above is quick, or large.
inline void mark_by_length(Case& added) {
  const int64_t length = added.in[0].desc.elems();
  added.is_quick = length == 129;
  added.is_large = length == kManyElems;
}

}  // namespace diabolo::selftest
