#include "cli/json_output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error_names.h"
#include "cli/interrupt.h"

namespace diabolo::cli {
namespace {

void drop_numbers_that_json_lacks(nlohmann::json& json) {
  for (auto it = json.begin(); it != json.end();) {
    if (it->is_number_float() && !std::isfinite(it->get<double>()) && json.is_object()) {
      it = json.erase(it);
      continue;
    }
    if (it->is_structured()) drop_numbers_that_json_lacks(*it);
    ++it;
  }
}

std::string line_of(nlohmann::json object, const std::string& command) {
  drop_numbers_that_json_lacks(object);
  if (!command.empty()) object["command"] = command;
  object["version"] = library_version();
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string failure_line(const std::string& command, ErrorCode code, const std::string& message) {
  return line_of({{"error", error_json(code, message)}}, command);
}

bool is_standard_output(const std::string& path) {
  if (path == "-") return true;
  struct stat named {
  }, standard{};
  return stat(path.c_str(), &named) == 0 && fstat(STDOUT_FILENO, &standard) == 0 &&
         !S_ISCHR(named.st_mode) && named.st_dev == standard.st_dev &&
         named.st_ino == standard.st_ino;
}

}  // namespace

const char* error_name(ErrorCode code) {
  const auto found = std::ranges::find(kErrorNames, code, &ErrorName::code);
  return found == kErrorNames.end() ? "failure" : found->name;
}

nlohmann::json error_json(ErrorCode code, const std::string& message) {
  return {{"code", static_cast<int>(code)}, {"name", error_name(code)}, {"message", message}};
}

nlohmann::json model_fields(const std::string& path, const ModelFile& model) {
  return {{"model", model_path(path)}, {"model_hash", model.hash}};
}

void print_json(const OutputOptions& out, Terminal& terminal, nlohmann::json object) {
  object["warnings"] = terminal.warnings();
  const std::string line = line_of(std::move(object), out.command);
  print_on_stop("", "");
  print_result(line);
}

void print_json_error(const std::string& command, ErrorCode code, const std::string& message) {
  print_on_stop("", "");
  try {
    print_result(failure_line(command, code, message));
  } catch (const Error&) {
  }
}

void prepare_json_for_signals(const std::string& command) {
  const auto line = [&command](ErrorCode code, const char* message) {
    return failure_line(command, code, message);
  };
  print_on_stop(line(ErrorCode::kInterrupted, "interrupted"),
                line(ErrorCode::kTerminated, "terminated"));
}

void check_json_is_alone(const OutputOptions& out, const std::string& output) {
  if (out.json && is_standard_output(output))
    throw Error(ErrorCode::kUsage, cat("--json: standard output is taken by -o ", output,
                                       " (write to a file, or leave --json out)"));
}

}  // namespace diabolo::cli
