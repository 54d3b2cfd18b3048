// The door of the fake device for libraries that launch kernels of their own, as cuBLASLt does: the
// test program exports it, the stand-in for the library calls it.
#pragma once

#include <functional>

// Puts `run` on the stream, as a kernel. Returns the runtime's error number, 0 for none.
extern "C" __attribute__((visibility("default"))) int fake_cuda_library_work(
    void* stream, const char* what, const std::function<void()>& run);
