// cuBLASLt opened at run time. It is 500 MB and more, and most machines do not have it: nothing
// links it, and it is looked for when a plan first wants one of its kernels (policy `fast` only).
// Plain dlopen, no CUDA header: also a plan for a GPU that is not there asks here, since it shows
// what this machine would run on that GPU.
#pragma once

#include <span>
#include <string>

namespace diabolo::kernels::cuda {

// The names that are tried, in order: of CUDA 13 and 12. The functions and numbers in use
// (cublaslt_api.h) are the same in both.
std::span<const char* const> cublaslt_names();

// A shared library that stays open for the rest of the process (its threads and device code cannot
// be taken away safely), or the reason why none could be opened.
struct OpenedLibrary {
  void* handle = nullptr;
  std::string name;     // of the one that was opened
  std::string why_not;  // "needs libX, which cannot be opened (dlopen's words)"
};
OpenedLibrary open_library(std::span<const char* const> names);

// The one that this process uses, opened by the first call; safe to call from any thread.
const OpenedLibrary& cublaslt_library();

}  // namespace diabolo::kernels::cuda
