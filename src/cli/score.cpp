// diabolo score
#include "cli/commands.h"
#include "cli/pipeline.h"

namespace diabolo::cli {

std::function<int()> describe_score(Arguments& arguments) {
  const auto target = std::make_shared<PipelineArguments>();
  target->verb = FileVerb::kScore;
  describe_pipeline(arguments, *target, "INPUT",
                    "rows: .npy, IDX, IDX.gz or raw; '-' is standard input");
  arguments.group("Output");
  arguments.choice("--output-format", target->output_format, {"npy", "raw", "csv"},
                   "else by the name of OUT: .npy, .csv, or raw");
  arguments.integer("--explain", target->worst, 1, 32,
                    "also the N features that are worst in each row; .csv only");
  return [target] { return run_file_command(*target); };
}

}  // namespace diabolo::cli
