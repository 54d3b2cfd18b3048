// diabolo selftest
#include "selftest/selftest.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/seconds.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/table.h"

namespace diabolo::cli {
namespace {

struct SelftestArguments {
  std::string filter, device = "auto";
  std::optional<int64_t> threads;
  bool is_quick = false;
  OutputOptions out;
};

const char* name(SelftestVerdict verdict) {
  switch (verdict) {
    case SelftestVerdict::kPass:
      return "pass";
    case SelftestVerdict::kFail:
      return "FAIL";
    case SelftestVerdict::kSkip:
      return "skip";
  }
  return "";
}

// The host, and with auto every CUDA device; or the one that was asked for.
std::vector<std::unique_ptr<Backend>> open_backends(const SelftestArguments& arguments,
                                                    Terminal& terminal) {
  std::vector<std::unique_ptr<Backend>> backends;
  const int64_t threads = arguments.threads.value_or(0);
  if (arguments.device != "auto") {
    backends.push_back(open_backend(arguments.device, threads, terminal));
    return backends;
  }
  backends.push_back(open_backend("cpu", threads, terminal));
  const CudaDevices cuda = list_cuda_devices();
  for (const DeviceInfo& device : cuda.devices)
    backends.push_back(open_backend(cat("cuda:", device.index), threads, terminal));
  if (cuda.devices.empty()) terminal.detail(cat("no CUDA device: ", cuda.why_none));
  return backends;
}

std::string table(const std::vector<SelftestRow>& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"kernel", "device", "cases", "error/bound", "verdict", ""}};
  for (const SelftestRow& row : rows)
    lines.push_back({row.kernel, row.device, cat(row.cases),
                     row.cases > 0 ? number_text(row.worst) : "-", name(row.verdict),
                     printable(row.reason)});
  return table_text(lines);
}

nlohmann::json list_of(const std::vector<SelftestRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const SelftestRow& row : rows) {
    nlohmann::json entry = {{"op", row.op},         {"kernel", row.kernel},
                            {"device", row.device}, {"cases", row.cases},
                            {"worst", row.worst},   {"verdict", name(row.verdict)}};
    if (!row.reason.empty()) entry["reason"] = row.reason;
    list.push_back(std::move(entry));
  }
  return list;
}

int64_t count(const std::vector<SelftestRow>& rows, SelftestVerdict verdict) {
  return std::count_if(rows.begin(), rows.end(),
                       [verdict](const SelftestRow& row) { return row.verdict == verdict; });
}

nlohmann::json json_of(const std::vector<SelftestRow>& rows, double seconds) {
  const int64_t failed = count(rows, SelftestVerdict::kFail);
  nlohmann::json json = {{"kernels", list_of(rows)},
                         {"passed", count(rows, SelftestVerdict::kPass)},
                         {"failed", failed},
                         {"skipped", count(rows, SelftestVerdict::kSkip)},
                         {"seconds", seconds}};
  if (failed > 0)
    json["error"] = error_json(ErrorCode::kFailure,
                               cat(counted(static_cast<uint64_t>(failed), "kernel"), " failed"));
  return json;
}

int run(const SelftestArguments& arguments) {
  Terminal terminal(arguments.out);
  const auto start = Clock::now();
  const auto owned = open_backends(arguments, terminal);
  std::vector<Backend*> backends;
  for (const auto& backend : owned) backends.push_back(backend.get());
  SelftestOptions options;
  options.filter = arguments.filter;
  options.quick_only = arguments.is_quick;
  options.progress = [&terminal](const char* op) {
    const std::string text = cat("checking ", op);
    terminal.can_redraw() ? terminal.live_line(text) : terminal.detail(text);
    return true;
  };
  const std::vector<SelftestRow> rows = run_selftest(backends, options);
  const double seconds = seconds_since(start);
  arguments.out.json ? print_json(arguments.out, terminal, json_of(rows, seconds))
                     : print_result(table(rows));
  const int64_t failed = count(rows, SelftestVerdict::kFail);
  terminal.line(cat(count(rows, SelftestVerdict::kPass), " kernels passed, ", failed, " failed, ",
                    count(rows, SelftestVerdict::kSkip), " skipped, ", number_text(seconds), " s"));
  return failed == 0 ? 0 : static_cast<int>(ErrorCode::kFailure);
}

}  // namespace

std::function<int()> describe_selftest(Arguments& arguments) {
  const auto target = std::make_shared<SelftestArguments>();
  arguments.group("Selftest");
  arguments.text("--filter", target->filter, "TEXT", "only cases whose name contains this");
  arguments.flag("--quick", target->is_quick, "a few cases of each kind");
  arguments.text("--device", target->device, "DEVICE", "auto (all), cpu, cuda or cuda:N");
  arguments.integer("--threads", target->threads, 0, 65536, "of the CPU, at most all; 0: all");
  target->out.describe(arguments, false);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
