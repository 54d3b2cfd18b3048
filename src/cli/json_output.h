// What --json leaves on standard output: exactly one object, in one line, on success and on
// failure. docs/json.md has the fields of every command.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/options.h"
#include "model/model_file.h"

namespace diabolo::cli {

// "data" for kData: stable names, for scripts.
const char* error_name(ErrorCode code);

// {"code": 3, "name": "data", "message": MESSAGE}
nlohmann::json error_json(ErrorCode code, const std::string& message);

// "model" and "model_hash" of a command that uses a model; path as given.
nlohmann::json model_fields(const std::string& path, const ModelFile& model);

// `object` with the command, the version and the warnings so far added. Numbers that are not
// finite, which JSON does not have, are left out. Throws Error{kClosedPipe} or Error{kResource}.
void print_json(const OutputOptions& out, Terminal& terminal, nlohmann::json object);

// The object of a failure; command empty: none was understood. A standard output that takes nothing
// is no further failure.
void print_json_error(const std::string& command, ErrorCode code, const std::string& message);

// The same for a signal that ends the process at once (cli/interrupt.h).
void prepare_json_for_signals(const std::string& command);

// Throws Error{kUsage} where --json and the output would share standard output.
void check_json_is_alone(const OutputOptions& out, const std::string& output);

}  // namespace diabolo::cli
