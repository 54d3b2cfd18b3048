// Kernels for tests of streams: what they do is easy to follow.
#pragma once

#include <cstdint>

namespace diabolo {

// values[i] = values[i] * factor + offset, for i < count.
void launch_affine(float* values, int64_t count, float factor, float offset, void* stream);

// A launch that no device takes: a block of 4096 threads.
void launch_too_large(void* stream);

}  // namespace diabolo
