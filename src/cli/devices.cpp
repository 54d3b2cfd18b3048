// diabolo devices
#include <nlohmann/json.hpp>
#include <optional>

#include "backend/product_rates.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/table.h"

namespace diabolo::cli {
namespace {

struct DevicesArguments {
  bool measures = false;
  OutputOptions out;
};

using Measured = std::optional<ProductRates>;

std::string architecture(const DeviceInfo& device) {
  return cat("sm_", device.cuda.arch);
}

std::string cpu_text(const DeviceInfo& cpu) {
  return cat(cpu.cpu.threads, " threads", cpu.cpu.has_bf16 ? ", bf16 products" : "");
}

nlohmann::json json_of(const DeviceInfo& cpu, const CudaDevices& cuda, const Measured& rates) {
  nlohmann::json list = nlohmann::json::array();
  list.push_back({{"device", "cpu"},
                  {"name", cpu.name},
                  {"memory_bytes", cpu.memory_bytes},
                  {"threads", cpu.cpu.threads},
                  {"bf16", cpu.cpu.has_bf16}});
  if (rates) list.back()["f32_flops"] = rates->f32;
  if (rates && rates->bf16 > 0) list.back()["bf16_flops"] = rates->bf16;
  for (const DeviceInfo& device : cuda.devices)
    list.push_back({{"device", cat("cuda:", device.index)},
                    {"name", device.name},
                    {"memory_bytes", device.memory_bytes},
                    {"architecture", architecture(device)}});
  nlohmann::json json = {{"devices", list}};
  if (cuda.devices.empty()) json["why_no_cuda"] = cuda.why_none;
  return json;
}

std::string rates_text(const ProductRates& rates) {
  std::string line = cat("cpu   products: ", gflops_text(rates.f32), " GFLOP/s in f32");
  if (rates.bf16 > 0) line += cat(", ", gflops_text(rates.bf16), " in bf16");
  if (is_slower(rates.gains)) line += "; train in f32";
  return line + "\n";
}

std::string text(const DeviceInfo& cpu, const CudaDevices& cuda, const Measured& rates) {
  std::vector<std::vector<std::string>> rows = {
      {"cpu", cpu.name, bytes_text(cpu.memory_bytes), cpu_text(cpu)}};
  for (const DeviceInfo& device : cuda.devices)
    rows.push_back({cat("cuda:", device.index), device.name, bytes_text(device.memory_bytes),
                    architecture(device)});
  const std::string none = cat("cuda  none: ", cuda.why_none, "\n");
  return table_text(rows) + (cuda.devices.empty() ? none : "") + (rates ? rates_text(*rates) : "");
}

int run(const DevicesArguments& arguments) {
  constexpr double kSeconds = 1;
  const auto host = create_host_backend();
  const CudaDevices cuda = list_cuda_devices();
  Measured rates;
  if (arguments.measures) rates = measure_products(*host, kSeconds);
  Terminal terminal(arguments.out);
  arguments.out.json ? print_json(arguments.out, terminal, json_of(host->info(), cuda, rates))
                     : print_result(text(host->info(), cuda, rates));
  return 0;
}

}  // namespace

std::function<int()> describe_devices(Arguments& arguments) {
  const auto target = std::make_shared<DevicesArguments>();
  arguments.flag("--measure", target->measures,
                 "also what the CPU's products do in f32 and bf16; takes a second");
  target->out.describe(arguments, false);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
