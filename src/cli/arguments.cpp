#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "model/config.h"
#include "model/model_file.h"

namespace diabolo::cli {
namespace {

constexpr const char* kWhat =
    "diabolo: trains autoencoders and runs them on files, on CPUs and NVIDIA GPUs";

std::vector<std::string> names_of(std::span<const Command> commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  return names;
}

// In front of what else is said.
std::string spaced_hint(const std::string& name, std::span<const std::string> names) {
  const std::string hint = did_you_mean(name, names, "", '\'');
  return hint.empty() ? hint : hint + " ";
}

// The parser would only say that an argument was not expected.
void check_command_name(std::span<const Command> commands, const std::string& name) {
  const std::vector<std::string> names = names_of(commands);
  if (name.starts_with("-") && name != "-h" && name != "--help" && name != "--version")
    throw Error(ErrorCode::kUsage, cat("no option '", name, "' before a command (diabolo --help)"));
  if (name.starts_with("-") || std::find(names.begin(), names.end(), name) != names.end()) return;
  throw Error(ErrorCode::kUsage, cat("no command '", name, "' (", spaced_hint(name, names),
                                     "diabolo --help lists them)"));
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string hint(const CLI::App& app, int argc, const char* const* argv) {
  const std::vector<std::string> names = option_names(app);
  for (int i = 2; i < argc; ++i) {
    const std::string given = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (given.starts_with("--") && given.size() > 2 &&
        std::find(names.begin(), names.end(), given) == names.end()) {
      return spaced_hint(given, names);
    }
  }
  return "";
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void restrict_to(CLI::Option* option, const std::vector<std::string>& choices) {
  std::string type;
  for (const std::string& choice : choices) type += cat(type.empty() ? "" : "|", choice);
  const auto check = [choices, type](const std::string& given) {
    const bool is_known = std::find(choices.begin(), choices.end(), given) != choices.end();
    return is_known ? std::string() : cat("expected ", type, ", found '", given, "'");
  };
  option->type_name(type)->check(check, "");
}

std::string found_empty(const std::string& given) {
  return given.empty() ? "expected a path, found an empty text" : "";
}

std::string integer_fault(const std::string& given, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  const bool is_whole = error == std::errc() && end == given.data() + given.size();
  if (is_whole && value >= low && value <= high) return "";
  return cat("expected an integer from ", low, " to ", high, ", found '", given, "'");
}

std::string number_fault(const std::string& given, double above, double high) {
  double value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  const bool is_whole = error == std::errc() && end == given.data() + given.size();
  if (is_whole && value > above && value <= high) return "";
  return cat("expected a number above ", above, " and at most ", high, ", found '", given, "'");
}

}  // namespace

std::string Arguments::command() const {
  return app_.get_name();
}

void Arguments::positional(const std::string& name, std::string& target, const std::string& what) {
  app_.add_option(name, target, what)->required()->type_name("")->check(found_empty, "");
}

void Arguments::optional_positional(const std::string& name, std::string& target,
                                    const std::string& what) {
  app_.add_option(name, target, what)->type_name("");
}

void Arguments::flag(const std::string& names, bool& target, const std::string& what) {
  app_.add_flag(names, target, what)->group(group_);
}

void Arguments::text(const std::string& names, std::string& target, const std::string& type,
                     const std::string& what) {
  app_.add_option(names, target, what)->type_name(type)->group(group_);
}

void Arguments::required_text(const std::string& names, std::string& target,
                              const std::string& type, const std::string& what) {
  app_.add_option(names, target, what)
      ->type_name(type)
      ->group(group_)
      ->required()
      ->check(found_empty, "");
}

void Arguments::optional_text(const std::string& names, std::optional<std::string>& target,
                              const std::string& type, const std::string& what) {
  app_.add_option(names, target, what)->type_name(type)->group(group_);
}

void Arguments::choice(const std::string& names, std::string& target,
                       const std::vector<std::string>& choices, const std::string& what) {
  restrict_to(app_.add_option(names, target, what)->group(group_), choices);
}

void Arguments::optional_choice(const std::string& names, std::optional<std::string>& target,
                                const std::vector<std::string>& choices, const std::string& what) {
  restrict_to(app_.add_option(names, target, what)->group(group_), choices);
}

void Arguments::number(const std::string& names, std::optional<double>& target, double above,
                       double high, const std::string& what) {
  const auto check = [=](const std::string& given) { return number_fault(given, above, high); };
  app_.add_option(names, target, what)->type_name("N")->check(check, "")->group(group_);
}

void Arguments::integer(const std::string& names, std::optional<int64_t>& target, int64_t low,
                        int64_t high, const std::string& what) {
  app_.add_option(names, target, what)
      ->type_name("N")
      ->group(group_)
      ->check([low, high](const std::string& given) { return integer_fault(given, low, high); },
              "");
}

void Arguments::texts(const std::string& names, std::vector<std::string>& target,
                      const std::string& type, const std::string& what) {
  app_.add_option(names, target, what)->type_name(type)->group(group_)->allow_extra_args(false);
}

Parsed parse_command_line(std::span<const Command> commands, int argc, const char* const* argv) {
  CLI::App app(kWhat, "diabolo");
  app.set_version_flag("--version", cat("diabolo ", library_version()));
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) { return error.what(); });
  if (argc < 2) throw Error(ErrorCode::kUsage, "a command is required (diabolo --help lists them)");
  check_command_name(commands, argv[1]);
  std::vector<std::function<int()>> runs;
  std::vector<CLI::App*> parsers;
  for (const Command& command : commands) {
    parsers.push_back(app.add_subcommand(command.name, command.what));
    Arguments arguments(*parsers.back());
    runs.push_back(command.describe(arguments));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    return {nullptr, cat(version.what(), "\n")};
  } catch (const CLI::Success&) {
    return {nullptr, app.help()};
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    const std::string name = chosen.empty() ? "" : chosen[0]->get_name() + " ";
    throw Error(ErrorCode::kUsage, cat(name.empty() ? "" : name.substr(0, name.size() - 1) + ": ",
                                       one_line(error.what()), " (",
                                       chosen.empty() ? "" : hint(*chosen[0], argc, argv),
                                       "diabolo ", name, "--help says more)"));
  }
  for (size_t i = 0; i < runs.size(); ++i)
    if (parsers[i]->parsed()) return {runs[i], ""};
  throw InternalError("no command was parsed");
}

}  // namespace diabolo::cli
