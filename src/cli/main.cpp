// diabolo, the command: the list of commands, and what becomes of errors.
#include <unistd.h>

#include <array>
#include <new>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace diabolo::cli {
namespace {

constexpr std::array kCommands = {
    Command{"train", "train a model on a data file into a run directory", describe_train},
    Command{"encode", "rows to codes, file to file", describe_encode},
    Command{"decode", "codes to rows, file to file", describe_decode},
    Command{"reconstruct", "rows to rows through the code, file to file", describe_reconstruct},
    Command{"score", "reconstruction error of each row, file to file", describe_score},
    Command{"evaluate", "how good a model is on a data file, beside PCA", describe_evaluate},
    Command{"inspect", "what a model or a data file holds", describe_inspect},
    Command{"plan", "every step of a model on a device, and its memory; runs nothing",
            describe_plan},
    Command{"selftest", "every kernel of this machine against the reference", describe_selftest},
    Command{"devices", "the devices of this machine", describe_devices},
    Command{"presets", "the named configurations", describe_presets},
};

// Colour is decided before options are understood, since they may be what is wrong.
bool errors_are_colored(int argc, char** argv) {
  std::string choice = "auto";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--color" && i + 1 < argc) choice = argv[i + 1];
    if (argument.starts_with("--color=")) choice = argument.substr(8);
  }
  return wants_color(choice, STDERR_FILENO);
}

int run(int argc, char** argv) {
  const Parsed parsed = parse_command_line(kCommands, argc, argv);
  if (parsed.run) return parsed.run();
  print_result(parsed.help);
  return 0;
}

int fail(ErrorCode code, const std::string& message, bool is_colored) {
  if (code != ErrorCode::kClosedPipe) print_error(message, is_colored);
  return static_cast<int>(code);
}

}  // namespace
}  // namespace diabolo::cli

int main(int argc, char** argv) {
  using diabolo::ErrorCode;
  diabolo::cli::hold_closed_streams();
  diabolo::cli::install_signal_handlers();
  const bool is_colored = diabolo::cli::errors_are_colored(argc, argv);
  try {
    return diabolo::cli::run(argc, argv);
  } catch (const diabolo::Error& error) {
    return diabolo::cli::fail(error.code(), error.what(), is_colored);
  } catch (const std::bad_alloc&) {
    return diabolo::cli::fail(ErrorCode::kResource, "out of memory", is_colored);
  } catch (const std::exception& error) {
    return diabolo::cli::fail(
        ErrorCode::kFailure,
        diabolo::cat("internal error: ", error.what(), " (a bug; please report it)"), is_colored);
  }
}
