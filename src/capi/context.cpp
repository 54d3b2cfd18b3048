// diabolo_context_* and what the library says about itself.
#include <algorithm>
#include <cstring>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"
#include "jobs/open.h"

namespace diabolo::capi {

namespace {

constexpr int32_t kPrecisions = DIABOLO_PRECISION_BF16 + 1;
constexpr int32_t kPolicies = DIABOLO_POLICY_FAST + 1;

static_assert(static_cast<int>(Precision::kTf32) == DIABOLO_PRECISION_TF32);
static_assert(static_cast<int>(Precision::kBf16) == DIABOLO_PRECISION_BF16);
static_assert(static_cast<int>(LogLevel::kWarning) == DIABOLO_LOG_WARNING);

Log log_of(const diabolo_context_options& options) {
  if (!options.log) return Log();
  return Log([log = options.log, user = options.log_user](LogLevel level, std::string_view line) {
    const std::string text(line);
    const CallerEnvironment environment;
    log(static_cast<diabolo_log_level>(level), text.c_str(), user);
  });
}

std::shared_ptr<Context> make_context(const diabolo_context_options& options) {
  check_choice("context options.precision", options.precision, 0, kPrecisions);
  check_choice("context options.policy", options.policy, 0, kPolicies);
  auto context = std::make_shared<Context>();
  context->threads = options.threads;
  context->precision = static_cast<Precision>(options.precision);
  context->fast_policy = options.policy == DIABOLO_POLICY_FAST;
  context->log = log_of(options);
  const std::string device = options.device ? options.device : "auto";
  OpenedDevice opened = open_device(device, options.threads);
  if (device == "auto") context->log.info(opened.line);  // what it has chosen
  if (!opened.note.empty()) context->log.warning(opened.note);
  context->backend = std::move(opened.backend);
  check_precision(context->backend->info(), context->precision);
  return context;
}

diabolo_device_info describe(const DeviceInfo& device) {
  diabolo_device_info info{};
  const size_t length = std::min(device.name.size(), sizeof info.name - 1);
  std::memcpy(info.name, device.name.data(), length);
  info.is_cuda = device.space == Space::kCuda;
  info.index = device.index;
  info.threads = device.space == Space::kCuda ? 0 : static_cast<uint64_t>(device.cpu.threads);
  info.memory_bytes = device.memory_bytes;
  return info;
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

const char* diabolo_version(void) {
  return diabolo::library_version();
}

uint32_t diabolo_abi_version(void) {
  return DIABOLO_ABI_VERSION;
}

diabolo_status diabolo_context_create(const diabolo_context_options* options,
                                      diabolo_context** context) {
  return guarded(__func__, [&] {
    required("context", context) = nullptr;
    *context = new_handle(make_context(options_or_defaults("context options", options)));
  });
}

diabolo_status diabolo_context_info(const diabolo_context* context, diabolo_device_info* info) {
  return guarded(__func__, [&] {
    const auto found = find_context(context);
    give_result("info", describe(found->backend->info()), &required("info", info));
  });
}

diabolo_status diabolo_context_destroy(diabolo_context* context) {
  return guarded(__func__, [&] { destroy_handle(context); });
}
