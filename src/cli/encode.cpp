// diabolo encode
#include "cli/commands.h"
#include "cli/pipeline.h"

namespace diabolo::cli {

std::function<int()> describe_encode(Arguments& arguments) {
  const auto target = std::make_shared<PipelineArguments>();
  target->verb = FileVerb::kEncode;
  describe_pipeline(arguments, *target, "INPUT",
                    "rows: .npy, IDX, IDX.gz or raw; '-' is standard input");
  arguments.group("Output");
  arguments.optional_choice("--code-dtype", target->output_dtype, {"f32", "f16", "bf16"},
                            "type of the codes; bf16 for raw output only");
  arguments.choice("--output-format", target->output_format, {"npy", "raw", "csv"},
                   "else by the name of OUT: .npy, .csv, or raw");
  return [target] { return run_file_command(*target); };
}

}  // namespace diabolo::cli
