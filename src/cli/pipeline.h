// What encode, decode, reconstruct and score have in common: a model, rows in, rows out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/options.h"
#include "run/encode_pipeline.h"

namespace diabolo::cli {

struct PipelineArguments {
  FileVerb verb = FileVerb::kEncode;
  std::string model, input, output, output_format;
  std::optional<std::string> output_dtype;
  std::optional<int64_t> batch_rows, worst, checkpoint_seconds;
  bool resume = false, dry_run = false;
  OutputOptions out;
  DeviceOptions device;
  DataOptions data;
  ModelOptions model_options;
};

// Options that all four take.
void describe_pipeline(Arguments& arguments, PipelineArguments& target, const char* input_name,
                       const char* input_what);

// Runs it; the exit status.
int run_file_command(const PipelineArguments& arguments);

}  // namespace diabolo::cli
