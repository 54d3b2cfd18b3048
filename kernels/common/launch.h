// What preparing a kernel gives: a call that does the work, on the stream it is given, and neither
// allocates nor asks anything. On the host the stream is not looked at.
#pragma once

#include <functional>

namespace diabolo::kernels {

using Launch = std::function<void(void* stream)>;

}  // namespace diabolo::kernels
