#include "backend/cuda/cuda_devices.h"

#include <charconv>

#include "backend/backend.h"
#include "backend/cuda/cuda_check.h"
#include "base/error.h"

namespace diabolo {

namespace cuda {

namespace {

constexpr int kOldestArch = 80;

// One entry: "80", "80-real", "90a-real", "80-virtual".
bool entry_runs_on(std::string_view entry, int arch) {
  int built = 0;
  const auto [rest, error] = std::from_chars(entry.data(), entry.data() + entry.size(), built);
  if (error != std::errc()) return false;
  const std::string_view suffix = entry.substr(static_cast<size_t>(rest - entry.data()));
  if (suffix.starts_with("a")) return arch == built;
  const bool real = !suffix.starts_with("-virtual") && arch / 10 == built / 10 && arch >= built;
  const bool ptx = !suffix.starts_with("-real") && arch >= built;
  return real || ptx;
}

std::string version_text(int version) {
  return cat(version / 1000, ".", version % 1000 / 10);
}

std::string why_no_driver() {
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {
    return "no NVIDIA driver was found; install it (nvidia-smi must work) or use --device cpu";
  }
  return cat("the NVIDIA driver is too old: it supports CUDA ", version_text(driver),
             ", this build needs ", version_text(runtime), "; update the driver");
}

}  // namespace

const char* built_architectures() {
  return DIABOLO_CUDA_ARCHITECTURES;
}

bool runs_on(std::string_view architectures, int arch) {
  while (!architectures.empty()) {
    const size_t end = architectures.find_first_of(";,");
    if (entry_runs_on(architectures.substr(0, end), arch)) return true;
    if (end == std::string_view::npos) return false;
    architectures.remove_prefix(end + 1);
  }
  return false;
}

std::string why_no_devices(int* count) {
  *count = 0;
  const cudaError_t status = cudaGetDeviceCount(count);
  if (status == cudaSuccess && *count > 0) return "";
  *count = 0;
  if (status != cudaSuccess) (void)cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) return why_no_driver();
  if (status == cudaErrorStubLibrary) {
    return "libcuda.so.1 is the toolkit's stub, not a driver; install the NVIDIA driver";
  }
  if (status == cudaSuccess || status == cudaErrorNoDevice) {
    return "the NVIDIA driver finds no CUDA device (is CUDA_VISIBLE_DEVICES set?)";
  }
  return cat("the NVIDIA driver does not start: ", describe(status, "cudaGetDeviceCount"));
}

Candidate examine_device(int index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  Candidate found;
  DeviceInfo& info = found.info;
  info.space = Space::kCuda;
  info.name = properties.name;
  info.memory_bytes = properties.totalGlobalMem;
  info.index = index;
  info.cuda.arch = properties.major * 10 + properties.minor;
  info.cuda.multiprocessors = properties.multiProcessorCount;
  info.cuda.shared_bytes_per_block = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  if (info.cuda.arch < kOldestArch) {
    found.refusal = cat("CUDA device ", index, " (", info.name, ") has compute capability ",
                        properties.major, ".", properties.minor, "; 8.0 or newer is needed");
  } else if (!runs_on(built_architectures(), info.cuda.arch)) {
    found.refusal = cat("CUDA device ", index, " (", info.name, ") is sm_", info.cuda.arch,
                        "; this build has kernels for ", built_architectures(),
                        ": configure with -DCMAKE_CUDA_ARCHITECTURES=", info.cuda.arch);
  }
  return found;
}

}  // namespace cuda

CudaDevices list_cuda_devices() {
  CudaDevices list;
  int count = 0;
  list.why_none = cuda::why_no_devices(&count);
  for (int index = 0; index < count; ++index) {
    cuda::Candidate candidate = cuda::examine_device(index);
    if (candidate.refusal.empty()) {
      list.devices.push_back(std::move(candidate.info));
    } else {
      list.why_none += (list.why_none.empty() ? "" : "; ") + candidate.refusal;
    }
  }
  if (!list.devices.empty()) list.why_none.clear();
  return list;
}

}  // namespace diabolo
