// The mathematics of kernels/common as a device computes it.
#pragma once

#include <cstdint>

namespace diabolo::math_kernels {

enum class Function { kExp, kLog1p, kTanh, kErf };

// out[i] = f(in[i])
struct Values {
  Function function;
  int count;
  const float* in;
  float* out;
};
void launch(const Values& values, void* stream);

// out[2 i] and out[2 i + 1] are the two normals of radius[i] and angle[i].
struct Normals {
  int count;
  const std::uint32_t* radius;
  const std::uint32_t* angle;
  float* out;
};
void launch(const Normals& normals, void* stream);

}  // namespace diabolo::math_kernels
