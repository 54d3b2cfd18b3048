// diabolo plan
#include "graph/plan.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/train_config.h"
#include "graph/dump.h"
#include "jobs/training.h"
#include "model/task.h"
#include "train/train_data.h"
#include "train/training_plan.h"

namespace diabolo::cli {
namespace {

constexpr const char* kTraining = "train";
constexpr const char* kValidation = "validate";

struct PlanArguments {
  std::string model, data, mode = kTraining;
  std::optional<std::string> target;
  std::optional<int64_t> features;
  ConfigArguments config;
  OutputOptions out;
  ModelOptions model_options;
};

struct Subject {
  Config config;  // resolved
  Network network;
  TensorDesc row;
  uint64_t rows = 0;       // that are trained on, without those set aside; 0: not known
  uint64_t held_rows = 0;  // that are validated on; 0: none, or not known
  nlohmann::json files;    // model and model_hash, or input, for --json
};

std::vector<std::string> mode_names() {
  std::vector<std::string> names = {kTraining, kValidation};
  for (const Task* task : tasks()) names.emplace_back(task->name);
  return names;
}

void describe(Arguments& arguments, PlanArguments& target) {
  std::string devices;
  for (const char* device : known_device_names())
    devices += cat(devices.empty() ? "" : "|", device);
  arguments.optional_positional("MODEL", target.model, "a model file, or a run directory");
  arguments.group("Plan");
  arguments.choice("--mode", target.mode, mode_names(), "what the plan is for");
  arguments.optional_text("--for", target.target, devices,
                          "plan for such a device, which need not be there");
  arguments.text("--data", target.data, "FILE", "without MODEL: rows that decide the shapes");
  arguments.integer("--features", target.features, 1, 1 << 24,
                    "without MODEL and data: numbers per row, scaled as images are");
  target.out.describe(arguments, false);
  target.config.describe(arguments);
  target.model_options.describe(arguments);
}

// A model is what it is: options that would describe another one are mistakes.
void check_model_stays(const PlanArguments& arguments, const Config& own,
                       const Config& overridden) {
  const bool names_another = arguments.config.preset || arguments.config.config_file ||
                             !arguments.data.empty() || arguments.features;
  const auto asked = config_json(overridden);
  const auto found = config_json(own);
  if (names_another || asked["model"] != found["model"] || asked["data"] != found["data"])
    throw Error(ErrorCode::kUsage,
                "plan: MODEL has its own network and data; leave out --preset, --config, --data, "
                "--features and keys of model and data, or leave out MODEL");
}

Subject subject_of_model(const PlanArguments& arguments, Terminal& terminal) {
  const ModelFile model = open_model(arguments.model, arguments.model_options, terminal);
  Config config = model.config;
  config.train.device = "auto";
  config.train.threads = 0;
  arguments.config.override(config);
  check_model_stays(arguments, model.config, config);
  const bool is_known = model.threshold && model.threshold_from == ThresholdFrom::kValidation;
  return {config,
          model.network(),
          model.row,
          model.provenance.rows,
          is_known ? model.threshold_rows : 0,
          model_fields(arguments.model, model)};
}

Subject subject_of_config(const PlanArguments& arguments) {
  Config config = arguments.config.config();
  if (!arguments.data.empty()) config.data.train = arguments.data;
  if (arguments.features) {
    config = resolved(config, Scale::kUnit);
    return {config,
            Network::of(config.model, *arguments.features),
            TensorDesc(DType::kF32, {*arguments.features}),
            0,
            0,
            nlohmann::json::object()};
  }
  if (config.data.train.empty())
    throw Error(ErrorCode::kUsage,
                "plan: what for? (MODEL, or --preset or --config with --data or --features)");
  OpenOptions options = open_options(config.data);
  options.only_header = true;
  const auto data = open_dataset(config.data.train, options);
  config = resolved(config, default_scale(*data));
  const TensorDesc row = data->x().row;
  const uint64_t rows = data->rows().value_or(0);
  const uint64_t set_aside = rows > 0 ? held_out_rows(config, rows) : 0;
  const auto validation = open_validation(config, *data);  // a file of its own
  const uint64_t held = validation ? validation->rows().value_or(0) : set_aside;
  return {config, Network::of(config.model, row),
          row,    rows - std::min(rows, set_aside),
          held,   nlohmann::json{{"input", config.data.train}}};
}

DeviceInfo device_of(const PlanArguments& arguments, const Config& config, Terminal& terminal) {
  if (!arguments.target)
    return open_backend(config.train.device, config.train.threads, terminal)->info();
  const auto device = device_from_name(*arguments.target);
  if (device) return *device;
  const auto known = known_device_names();
  const std::vector<std::string> names(known.begin(), known.end());
  throw Error(ErrorCode::kUsage,
              cat("--for ", *arguments.target, ": not known (",
                  did_you_mean(*arguments.target, names, "plan --help lists them"), ")"));
}

// A plan and the states of its store.
struct Planned {
  Plan plan;
  std::vector<StateSpec> states;
};

Planned plan_task(const Task& task, const Subject& subject, const DeviceInfo& device) {
  const TrainConfig& train = subject.config.train;
  const Graph graph = task_graph(task, subject.config.model, subject.network,
                                 {.rows = train.batch_size, .precision = train.precision});
  return {Plan::compile(graph, device, policy_of(train)),
          inference_states(subject.network, train.precision)};
}

Planned plan_training(bool is_validation, const Subject& subject, const DeviceInfo& device) {
  const RowsToRead rows{subject.rows,
                        subject.row.dtype() == DType::kU8 ? Source::kRawU8 : Source::kScaled};
  std::optional<RowsToRead> held;
  if (is_validation || !subject.config.train.validation.empty())
    held = RowsToRead{subject.held_rows, rows.source};
  const TrainingPlan training(device, subject.config, subject.network, rows, held, rows.rows > 0);
  return {is_validation ? training.validation(training.validation_batch_rows())
                        : training.step(training.batch_rows()),
          training.states()};
}

// Bytes that train, or a command that uses a model, allocates where it runs, by what they are; of
// the inputs what the plan sees.
std::map<std::string, uint64_t> memory_of(const Planned& planned, const Subject& subject) {
  std::map<std::string, uint64_t> bytes = {
      {store_names::kMaster, store_bytes(subject.network, {})}};
  for (const StateSpec& spec : planned.states)
    if (spec.desc.bytes() > 0) bytes[spec.name] = spec.desc.bytes();
  for (const Value& value : planned.plan.graph().values())
    if (value.role == Role::kInput) bytes[value.name] = value.desc.bytes();
  return bytes;
}

void print(const Plan& plan, const std::map<std::string, uint64_t>& memory,
           const PlanArguments& arguments, const Subject& subject, Terminal& terminal) {
  uint64_t total = plan.arena_bytes() + plan.zeroed_bytes();
  for (const auto& [name, bytes] : memory) total += bytes;
  if (arguments.out.json) {
    nlohmann::json json = plan_json(plan);
    json.update(subject.files);
    json["mode"] = arguments.mode;
    json["memory"] = memory;
    json["memory"]["arena"] = plan.arena_bytes();
    json["memory"]["zeroed"] = plan.zeroed_bytes();
    json["memory_bytes"] = total;
    return print_json(arguments.out, terminal, std::move(json));
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, bytes] : memory) rows.push_back({"  " + name, cat(bytes, " bytes")});
  rows.push_back({"  arena", cat(plan.arena_bytes(), " bytes")});
  if (plan.zeroed_bytes()) rows.push_back({"  zeroed", cat(plan.zeroed_bytes(), " bytes")});
  rows.push_back({"  all", cat(total, " bytes (", bytes_text(total), ")")});
  print_result(plan_text(plan) + "memory\n" + table_text(rows));
}

int run(const PlanArguments& arguments) {
  Terminal terminal(arguments.out);
  const Subject subject = arguments.model.empty() ? subject_of_config(arguments)
                                                  : subject_of_model(arguments, terminal);
  const DeviceInfo device = device_of(arguments, subject.config, terminal);
  check_precision(device, subject.config.train.precision);
  const Task* task = find_task(arguments.mode);
  const Planned planned = task ? plan_task(*task, subject, device)
                               : plan_training(arguments.mode == kValidation, subject, device);
  print(planned.plan, memory_of(planned, subject), arguments, subject, terminal);
  return 0;
}

}  // namespace

std::function<int()> describe_plan(Arguments& arguments) {
  const auto target = std::make_shared<PlanArguments>();
  describe(arguments, *target);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
