// Where launches come from: the kernels' host harness (launcher.cpp), or, in builds with
// DIABOLO_PTX, what nvcc makes of them (tests/ptx/device).
#pragma once

namespace fake_cuda {

// From now on gpu::launch puts its kernel on a stream of the fake device.
void take_launches();

}  // namespace fake_cuda
