// Where a kernel is run: a device as it is, and as it would look to the choices inside kernels if
// it could do less or were larger. So every path of a kernel is run on every machine that can run
// it.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace diabolo::selftest {

struct Target {
  Backend& backend;
  Stream& stream;
  DeviceInfo device;  // what accepts, scratch_bytes and prepare are told

  // Products of f32 may round their operands to tf32.
  bool rounds_to_tf32() const { return device.space == Space::kCuda && device.cuda.allows_tf32; }
};

// The device as it is comes first. Then a host without bf16 products, without AVX-512, without AVX2
// (where it has them); a CUDA device with tf32, with one multiprocessor (kernels take their largest
// tiles) and with very many (their smallest).
std::vector<Target> targets_of(Backend& backend, Stream& stream);

}  // namespace diabolo::selftest
