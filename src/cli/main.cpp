// diabolo, the command: the list of commands, and what becomes of errors.
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <new>
#include <span>
#include <vector>

#include "backend/host/host_memory.h"

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/terminal.h"
#include "model/task.h"

namespace diabolo::cli {
namespace {

constexpr Command kTrain = {"train", "train a model on a data file into a run directory",
                            describe_train};
constexpr std::array kOthers = {
    Command{"evaluate", "how good a model is on a data file, beside PCA", describe_evaluate},
    Command{"inspect", "what a model or a data file holds", describe_inspect},
    Command{"plan", "every step of a model on a device, and its memory; runs nothing",
            describe_plan},
    Command{"selftest", "every kernel of this machine against the reference", describe_selftest},
    Command{"devices", "the devices of this machine", describe_devices},
    Command{"presets", "the named configurations", describe_presets},
};

// In the order of the help.
std::span<const Command> commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> list = {kTrain};
    for (const Task* task : tasks()) list.push_back({task->name, task->what, describe_file_task});
    list.insert(list.end(), kOthers.begin(), kOthers.end());
    return list;
  }();
  return all;
}

// How errors are reported. Decided before options are understood, since they may be what is wrong.
struct ErrorStyle {
  bool is_colored = false, as_json = false;
  std::string command;  // empty: none of ours
};

ErrorStyle error_style(int argc, char** argv) {
  ErrorStyle style;
  std::string color = "auto";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") break;
    if (argument == "--color" && i + 1 < argc) color = argv[i + 1];
    if (argument.starts_with("--color=")) color = argument.substr(8);
    if (argument == "--json") style.as_json = true;
  }
  style.is_colored = wants_color(color, STDERR_FILENO);
  for (const Command& command : commands())
    if (argc > 1 && argv[1] == std::string_view(command.name)) style.command = command.name;
  return style;
}

int run(int argc, char** argv) {
  const Parsed parsed = parse_command_line(commands(), argc, argv);
  if (parsed.run) return parsed.run();
  print_result(parsed.help);
  return 0;
}

int fail(ErrorCode code, const std::string& message, const ErrorStyle& style) {
  if (code == ErrorCode::kClosedPipe) return static_cast<int>(code);
  print_error(message, style.is_colored);
  if (style.as_json) print_json_error(style.command, code, message);
  return static_cast<int>(code);
}

// Of the process's own limit too, which is not what the machine has free.
std::string out_of_memory() {
  struct rlimit limit {};
  const bool is_limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return cat("out of memory: ", host_available_bytes() >> 20, " MiB are free",
             is_limited ? cat(", and this process may take ", limit.rlim_cur >> 20,
                              " MiB of addresses (ulimit -v); raise that, or use fewer --threads")
                        : "; use a smaller --batch-size, fewer --threads or a larger machine");
}

int run_and_report(int argc, char** argv) {
  const ErrorStyle style = error_style(argc, argv);
  if (style.as_json) prepare_json_for_signals(style.command);
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return fail(error.code(), error.what(), style);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kResource, out_of_memory(), style);
  } catch (const std::exception& error) {
    return fail(ErrorCode::kFailure,
                cat("internal error: ", error.what(), " (a bug; please report it)"), style);
  }
}

}  // namespace
}  // namespace diabolo::cli

int main(int argc, char** argv) {
  diabolo::cli::hold_closed_streams();
  diabolo::cli::install_signal_handlers();
  return diabolo::cli::run_and_report(argc, argv);
}
