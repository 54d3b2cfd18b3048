// IEEE binary16 in a uint16_t.
#pragma once

#include <cstdint>

namespace diabolo {

// Exact. NaN stays NaN.
float half_to_float(uint16_t half);

// Rounds to nearest, ties to even; from 65520 on the result is infinite. NaN stays NaN.
uint16_t float_to_half(float value);

}  // namespace diabolo
