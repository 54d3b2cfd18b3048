// Configuration files. What is taken must come back the same after it was written.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "model/config_toml.h"

namespace diabolo::fuzz {
namespace {

void read_write_read(std::string_view text) {
  Config config;
  assign(parse_config_toml(text, "input"), config);
  Config again;
  assign(parse_config_toml(config_toml(config), "written"), again);
  if (config_json(again) != config_json(config)) std::abort();
}

}  // namespace
}  // namespace diabolo::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diabolo::fuzz;  // NOLINT: this is its only user
  expect_clean([=] { read_write_read(text_of(data, size)); }, diabolo::ErrorCode::kUsage,
               diabolo::ErrorCode::kUsage);
  return 0;
}
