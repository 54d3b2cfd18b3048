// Where launches of the kernels' host harness go.
#pragma once

namespace fake_cuda {

// From now on gpu::launch puts its kernel on a stream of the fake device.
void take_launches();

}  // namespace fake_cuda
