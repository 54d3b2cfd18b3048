#include "jobs/open.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "backend/host/host_threads.h"
#include "base/error.h"
#include "model/task.h"

namespace diabolo {

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

std::string text(const DeviceInfo& info) {
  if (info.space == Space::kCuda) return cat("cuda:", info.index, " (", info.name, ")");
  return cat("cpu (", info.name, ", ", info.cpu.threads,
             info.cpu.threads == 1 ? " thread)" : " threads)");
}

OpenedDevice opened(std::unique_ptr<Backend> backend, const std::string& why = "") {
  std::string line = cat("device: ", text(backend->info()), why);
  return {std::move(backend), std::move(line), ""};
}

OpenedDevice open_host(uint64_t threads, const std::string& why = "") {
  constexpr uint64_t kMany = 1 << 20;  // more than any machine has
  const ThreadChoice choice = choose_threads(static_cast<int>(std::min(threads, kMany)));
  OpenedDevice host = opened(create_host_backend(choice.threads), why);
  host.note = choice.note;
  return host;
}

// Whether a driver has a GPU for this process, which its user did not hide on purpose: then it is
// worth a word that it stays unused. (/dev/dxg: Windows' subsystem for Linux.)
bool is_gpu_there() {
  if (std::getenv("CUDA_VISIBLE_DEVICES") != nullptr) return false;
  return access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
}

OpenedDevice open_auto(uint64_t threads) {
  const CudaDevices cuda = list_cuda_devices();
  const size_t count = cuda.devices.size();
  if (count > 0)
    return opened(create_cuda_backend(cuda.devices.front().index),
                  cat(", chosen as the first of ", count, " CUDA device", count == 1 ? "" : "s"));
  OpenedDevice host =
      open_host(threads, cat(", chosen because there is no CUDA device: ", cuda.why_none));
  host.leaves_gpu_unused = is_gpu_there();
  return host;
}

}  // namespace

OpenedDevice open_device(const std::string& device, uint64_t threads) {
  if (device == "auto") return open_auto(threads);
  if (device == "cpu") return open_host(threads);
  if (const auto index = cuda_index(device)) return opened(create_cuda_backend(*index));
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

OpenOptions open_options(const DataConfig& config) {
  OpenOptions options;
  options.format = config.format;
  options.row_shape = config.shape;
  options.table = config.table;
  if (config.dtype == "auto") return options;
  options.dtype = dtype_from_name(config.dtype);
  if (!options.dtype)
    throw Error(ErrorCode::kUsage, cat("data.dtype: '", config.dtype,
                                       "' is no element type (f32, f64, f16, u8, i8 ...)"));
  return options;
}

namespace {

// As results have them.
std::vector<std::string> names_of(const TaskOutput& output, int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(output.csv_name_of(i));
  return names;
}

UsualReading usual_codes(const ModelFile& model, const TensorDesc& row) {
  const DType dtype = is_float(row.dtype()) ? model.config.output.code_dtype : row.dtype();
  UsualReading usual{.row = TensorDesc(dtype, row.extents()), .has_ids_first = true};
  for (const TaskOutput& output : kEncodeTask.outputs)
    if (output.is_code) usual.features = names_of(output, row.elems());
  // Ids of the name of a code have another one beside codes.
  const std::string& id = model.config.data.table.columns.id;
  if (std::ranges::find(usual.features, id) == usual.features.end()) usual.table.columns.id = id;
  return usual;
}

UsualReading usual_data(const DataConfig& trained_on, const TensorDesc& row,
                        std::vector<std::string> features) {
  UsualReading usual{.row = row, .features = std::move(features)};
  // Nothing is taken for raw numbers that is not called so.
  if (trained_on.format != "raw") usual.format = trained_on.format;
  if (trained_on.dtype != "auto") usual.dtype = dtype_from_name(trained_on.dtype);
  usual.table = trained_on.table;
  return usual;
}

}  // namespace

std::vector<std::string> feature_names(const ModelFile& model) {
  if (!model.texts.feature_names.empty()) return model.texts.feature_names;
  return names_of(kReconstructTask.outputs.front(), model.features());
}

UsualReading usual_reading(const ModelFile& model, const TensorDesc& row, RowsAre rows) {
  if (rows == RowsAre::kCodes) return usual_codes(model, row);
  return usual_data(model.config.data, row, feature_names(model));
}

UsualReading usual_reading(const DataConfig& trained_on, const Dataset& data) {
  UsualReading usual = usual_data(trained_on, data.x().row, data.feature_names());
  usual.table.columns = data.columns();
  return usual;
}

}  // namespace diabolo
