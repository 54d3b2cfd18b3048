// diabolo decode
#include "cli/commands.h"
#include "cli/pipeline.h"

namespace diabolo::cli {

std::function<int()> describe_decode(Arguments& arguments) {
  const auto target = std::make_shared<PipelineArguments>();
  target->verb = FileVerb::kDecode;
  describe_pipeline(arguments, *target, "CODES", "codes: .npy or raw; '-' is standard input");
  arguments.group("Output");
  arguments.choice("--output-format", target->output_format, {"npy", "raw", "csv"},
                   "else by the name of OUT: .npy, .csv, or raw");
  return [target] { return run_file_command(*target); };
}

}  // namespace diabolo::cli
