// What nvcc's host code calls before main(): __cudaRegisterFatBinary with the module's image, then
// __cudaRegisterFunction for every kernel. The image is a fat binary: a header, then entries, of
// which those of kind 1 hold PTX, as plain text with --compress-mode=none.
//
// DIABOLO_PTX_TEXTS names a folder: a module is read from SOURCE.ptx there (verb_kernels_cu.ptx) if
// there is such a file, and written to it if not. So a test can change what nvcc made.
#include "fatbin.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>

#include "fault.h"
#include "module.h"

namespace ptx {

namespace {

struct Image {  // .nvFatBinSegment
  uint32_t magic, version;
  const unsigned char* data;
  void* unused;
};
struct FatHeader {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;
};
struct FatEntry {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;
  uint32_t compressed_bytes;
};
constexpr uint32_t kImageMagic = 0x466243B1, kFatMagic = 0xBA55ED50;
constexpr uint16_t kPtx = 1;

template <class T>
T read_as(const unsigned char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string text_of(const Image& image) {
  const auto header = read_as<FatHeader>(image.data);
  if (image.magic != kImageMagic || header.magic != kFatMagic)
    throw Fault(FaultKind::kUnknown, "a fat binary of an unknown form");
  const unsigned char* at = image.data + header.header_bytes;
  const unsigned char* end = at + header.bytes;
  while (at < end) {
    const auto entry = read_as<FatEntry>(at);
    if (entry.kind == kPtx && entry.compressed_bytes == 0)
      return {reinterpret_cast<const char*>(at) + entry.header_bytes, entry.bytes};
    at += entry.header_bytes + entry.bytes;
  }
  throw Fault(FaultKind::kUnknown,
              "a fat binary without plain PTX; compile for 80-virtual with --compress-mode=none");
}

// The name of the source without what nvcc adds: in ".._GLOBAL__N__1a2b3c4d_7_sums_cu_5e6f…"
// sums_cu.
std::string file_of(const std::string& text) {
  const size_t at = text.find("_GLOBAL__N__");
  if (at == std::string::npos) return "module" + std::to_string(text.size());
  const size_t count = text.find('_', at + 12) + 1, name = text.find('_', count) + 1;
  return text.substr(name, static_cast<size_t>(std::atoi(text.c_str() + count)));
}

std::string replaced(std::string text) {
  const char* folder = std::getenv("DIABOLO_PTX_TEXTS");
  if (folder == nullptr) return text;
  const std::string path = std::string(folder) + "/" + file_of(text) + ".ptx";
  if (std::ifstream file(path, std::ios::binary); file) {
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
  }
  std::ofstream(path, std::ios::binary)
      .write(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

// A module is looked at when its first kernel is launched.
struct Loaded {
  const Image* image = nullptr;
  std::unique_ptr<Module> module;
};
struct Kernel {
  Loaded* loaded = nullptr;
  std::string name;
  std::unique_ptr<Program> program;
};

std::map<const void*, Kernel>& kernels() {
  static std::map<const void*, Kernel> all;
  return all;
}

}  // namespace

const char* name_of(const void* function) {
  const auto found = kernels().find(function);
  return found == kernels().end() ? nullptr : found->second.name.c_str();
}

// Several threads may launch; what is there already does not move.
const Program& program_of(const void* function) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const auto found = kernels().find(function);
  if (found == kernels().end())
    throw Fault(FaultKind::kLaunch, "a launch of a function that is no kernel");
  Kernel& kernel = found->second;
  if (!kernel.loaded->module)
    kernel.loaded->module = std::make_unique<Module>(replaced(text_of(*kernel.loaded->image)));
  if (!kernel.program)
    kernel.program =
        std::make_unique<Program>(decode(kernel.loaded->module->parse_kernel(kernel.name)));
  return *kernel.program;
}

}  // namespace ptx

// NOLINTBEGIN: the names are nvcc's
extern "C" {

void** __cudaRegisterFatBinary(void* image) {
  auto* loaded = new ptx::Loaded;
  loaded->image = static_cast<const ptx::Image*>(image);
  return reinterpret_cast<void**>(loaded);
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void** handle) {
  delete reinterpret_cast<ptx::Loaded*>(handle);
}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int,
                            void*, void*, void*, void*, int*) {
  ptx::Kernel& kernel = ptx::kernels()[host_function];
  kernel.loaded = reinterpret_cast<ptx::Loaded*>(handle);
  kernel.name = name;
}

char __cudaInitModule(void**) {
  return 1;
}

// Of kernel<<<…>>>(…), which the project does not use: gpu::launch is the one way.
int __cudaGetKernel(void**, const void*) {
  std::abort();
}
int __cudaLaunchKernel(void*, uint64_t, uint32_t, uint64_t, uint32_t, void**, size_t, void*) {
  std::abort();
}
unsigned __cudaPopCallConfiguration(void*, void*, size_t*, void*) {
  std::abort();
}

}  // extern "C"
// NOLINTEND
