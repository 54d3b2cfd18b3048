#include "kernels/cuda/cublaslt_library.h"

#include <dlfcn.h>

#include <array>

namespace diabolo::kernels::cuda {

std::span<const char* const> cublaslt_names() {
  static constexpr std::array kNames = {"libcublasLt.so.13", "libcublasLt.so.12"};
  return kNames;
}

OpenedLibrary open_library(std::span<const char* const> names) {
  OpenedLibrary opened;
  std::string tried, reason;
  for (const char* name : names) {
    opened.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (opened.handle) {
      opened.name = name;
      return opened;
    }
    const char* text = dlerror();
    tried += (tried.empty() ? "" : " or ") + std::string(name);
    if (reason.empty()) reason = text ? text : "no reason given";
  }
  opened.why_not = "needs " + tried + ", which cannot be opened (" + reason + ")";
  return opened;
}

const OpenedLibrary& cublaslt_library() {
  static const OpenedLibrary library = open_library(cublaslt_names());
  return library;
}

}  // namespace diabolo::kernels::cuda
