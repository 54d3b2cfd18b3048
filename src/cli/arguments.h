// The command line: commands describe their options here, arguments.cpp alone knows the parser.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace CLI {
class App;
}

namespace diabolo::cli {

// Collects the options of one command. Targets are written while parsing and must live until the
// command has run. `names` is "-o,--output" or "--output"; `what` one line of help.
class Arguments {
 public:
  explicit Arguments(CLI::App& app) : app_(app) {}

  std::string command() const;  // "encode"

  // Options that follow are listed under this heading.
  void group(const std::string& heading) { group_ = heading; }

  // Positionals and required texts may not be empty: a variable of a script that was never set.
  void positional(const std::string& name, std::string& target, const std::string& what);
  void optional_positional(const std::string& name, std::string& target, const std::string& what);
  void flag(const std::string& names, bool& target, const std::string& what);
  void text(const std::string& names, std::string& target, const std::string& type,
            const std::string& what);
  void required_text(const std::string& names, std::string& target, const std::string& type,
                     const std::string& what);
  void optional_text(const std::string& names, std::optional<std::string>& target,
                     const std::string& type, const std::string& what);
  void choice(const std::string& names, std::string& target,
              const std::vector<std::string>& choices, const std::string& what);
  void optional_choice(const std::string& names, std::optional<std::string>& target,
                       const std::vector<std::string>& choices, const std::string& what);
  void integer(const std::string& names, std::optional<int64_t>& target, int64_t low, int64_t high,
               const std::string& what);
  void number(const std::string& names, std::optional<double>& target, double above, double high,
              const std::string& what);
  // May be given several times, one value each.
  void texts(const std::string& names, std::vector<std::string>& target, const std::string& type,
             const std::string& what);

 private:
  CLI::App& app_;
  std::string group_ = "Options";
};

struct Command {
  const char* name;
  const char* what;  // one line
  // Describes the options; what it returns runs the command after they were parsed and gives the
  // exit status.
  std::function<int()> (*describe)(Arguments&);
};

// What the command line asked for.
struct Parsed {
  std::function<int()> run;
  std::string help;  // not empty: print this instead of running anything
};

// Throws Error{kUsage}.
Parsed parse_command_line(std::span<const Command> commands, int argc, const char* const* argv);

}  // namespace diabolo::cli
