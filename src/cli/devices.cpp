// diabolo devices
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/table.h"

namespace diabolo::cli {
namespace {

std::string architecture(const DeviceInfo& device) {
  return cat("sm_", device.cuda.arch);
}

std::string cpu_text(const DeviceInfo& cpu) {
  return cat(cpu.cpu.threads, " threads", cpu.cpu.has_bf16 ? ", bf16 products" : "");
}

nlohmann::json json_of(const DeviceInfo& cpu, const CudaDevices& cuda) {
  nlohmann::json list = nlohmann::json::array();
  list.push_back({{"device", "cpu"},
                  {"name", cpu.name},
                  {"memory_bytes", cpu.memory_bytes},
                  {"threads", cpu.cpu.threads},
                  {"bf16", cpu.cpu.has_bf16}});
  for (const DeviceInfo& device : cuda.devices)
    list.push_back({{"device", cat("cuda:", device.index)},
                    {"name", device.name},
                    {"memory_bytes", device.memory_bytes},
                    {"architecture", architecture(device)}});
  nlohmann::json json = {{"devices", list}};
  if (cuda.devices.empty()) json["why_no_cuda"] = cuda.why_none;
  return json;
}

std::string text(const DeviceInfo& cpu, const CudaDevices& cuda) {
  std::vector<std::vector<std::string>> rows = {
      {"cpu", cpu.name, bytes_text(cpu.memory_bytes), cpu_text(cpu)}};
  for (const DeviceInfo& device : cuda.devices)
    rows.push_back({cat("cuda:", device.index), device.name, bytes_text(device.memory_bytes),
                    architecture(device)});
  const std::string none = cat("cuda  none: ", cuda.why_none, "\n");
  return table_text(rows) + (cuda.devices.empty() ? none : "");
}

int run(const OutputOptions& out) {
  const auto host = create_host_backend();
  const CudaDevices cuda = list_cuda_devices();
  Terminal terminal(out);
  out.json ? print_json(out, terminal, json_of(host->info(), cuda))
           : print_result(text(host->info(), cuda));
  return 0;
}

}  // namespace

std::function<int()> describe_devices(Arguments& arguments) {
  const auto target = std::make_shared<OutputOptions>();
  target->describe(arguments, false);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
