// diabolo reconstruct
#include "cli/commands.h"
#include "cli/pipeline.h"

namespace diabolo::cli {

std::function<int()> describe_reconstruct(Arguments& arguments) {
  const auto target = std::make_shared<PipelineArguments>();
  target->verb = FileVerb::kReconstruct;
  describe_pipeline(arguments, *target, "INPUT",
                    "rows: .npy, IDX, IDX.gz or raw; '-' is standard input");
  arguments.group("Output");
  arguments.choice("--output-format", target->output_format, {"npy", "raw", "csv"},
                   "else by the name of OUT: .npy, .csv, or raw");
  return [target] { return run_file_command(*target); };
}

}  // namespace diabolo::cli
