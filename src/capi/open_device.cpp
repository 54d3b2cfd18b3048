#include "capi/open_device.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/checked.h"

namespace diabolo::capi {

namespace {

std::optional<int> cuda_index(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return std::nullopt;
  device.remove_prefix(5);
  int index = -1;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  const bool is_whole = error == std::errc() && end == device.data() + device.size();
  return is_whole && index >= 0 ? std::optional(index) : std::nullopt;
}

std::unique_ptr<Backend> open_host(uint64_t threads) {
  const auto count = checked_cast<int>(threads);
  if (!count) throw Error(ErrorCode::kUsage, cat("threads: ", threads, " is too many"));
  return create_host_backend(*count);
}

std::unique_ptr<Backend> open_auto(uint64_t threads, const Log& log) {
  const CudaDevices cuda = list_cuda_devices();
  if (cuda.devices.empty()) {
    log.info("device: cpu, chosen because there is no CUDA device: ", cuda.why_none);
    return open_host(threads);
  }
  const DeviceInfo& first = cuda.devices.front();
  log.info("device: cuda:", first.index, " (", first.name, "), chosen as the first of ",
           cuda.devices.size());
  return create_cuda_backend(first.index);
}

}  // namespace

std::unique_ptr<Backend> open_device(const std::string& device, uint64_t threads, const Log& log) {
  if (device == "auto") return open_auto(threads, log);
  if (device == "cpu") return open_host(threads);
  if (const auto index = cuda_index(device)) return create_cuda_backend(*index);
  throw Error(ErrorCode::kUsage,
              cat("device: expected auto, cpu, cuda or cuda:N, found '", device, "'"));
}

void check_precision(const DeviceInfo& device, Precision precision) {
  if (device.space != Space::kHost) return;
  if (precision == Precision::kTf32)
    throw Error(ErrorCode::kUsage,
                "precision tf32: a CPU has no such products (use f32, or a CUDA device)");
  if (precision == Precision::kBf16 && !device.cpu.has_bf16)
    throw Error(ErrorCode::kUsage,
                cat("precision bf16: ", device.name, " has no bf16 products (use f32)"));
}

}  // namespace diabolo::capi
