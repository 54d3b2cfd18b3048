// diabolo inspect
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/table.h"
#include "data/row_fit.h"

namespace diabolo::cli {
namespace {

struct InspectArguments {
  std::string path;
  OutputOptions out;
  DataOptions data;
  ModelOptions model_options;
};

bool is_directory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Safetensors: a length of eight bytes, then a JSON object.
bool is_model(const std::string& path) {
  if (path == "-") return false;
  if (is_directory(path) || path.ends_with(".safetensors")) return true;
  const File file = File::open(path);
  std::byte head[9];
  if (!file.is_regular() || file.size_bytes() < sizeof head) return false;
  file.pread(0, head);
  return head[8] == std::byte{'{'} && head[7] == std::byte{0};
}

nlohmann::json layer_json(const Layer& layer) {
  return {{"name", layer.name},
          {"line", layer.line.text()},
          {"in", layer.in_width()},
          {"out", layer.out_width()},
          {"activation", kernels::name(layer.activation)},
          {"tied", layer.is_tied}};
}

nlohmann::json model_json(const ModelFile& model, const std::string& path) {
  const Network network = model.network();
  nlohmann::json json = {{"kind", "model"},
                         {"row", model.row.text()},
                         {"features", network.features},
                         {"code_size", network.code_size},
                         {"parameters", network.parameter_count()},
                         {"scale", name(model.scaling.kind)},
                         {"layers", nlohmann::json::array()},
                         {"states", nlohmann::json::array()},
                         {"config", config_json(model.config)}};
  json.update(model_fields(path, model));
  for (const Layer* layer : network.layers()) json["layers"].push_back(layer_json(*layer));
  for (const StateSpec& spec : network.states())
    json["states"].push_back({{"name", spec.name}, {"shape", spec.desc.text()}});
  if (model.threshold) {
    json["threshold"] = *model.threshold;
    json["threshold_quantile"] = model.threshold_quantile;
    json["threshold_from"] = name(model.threshold_from);
    json["threshold_rows"] = model.threshold_rows;
  }
  if (!model.texts.feature_names.empty()) json["feature_names"] = model.texts.feature_names;
  if (!model.texts.metadata.empty()) json["metadata"] = model.texts.metadata;
  json["provenance"] = {{"version", model.provenance.version},
                        {"data", model.provenance.data},
                        {"rows", model.provenance.rows},
                        {"seed", model.provenance.seed},
                        {"epochs", model.provenance.epochs}};
  if (!model.provenance.data_file.path.empty())
    json["provenance"]["data_file"] = model.provenance.data_file.path;
  return json;
}

std::string threshold_text(const ModelFile& model) {
  const std::string value = number_text(*model.threshold);
  if (model.threshold_from == ThresholdFrom::kChosen) return value + ", chosen";
  return cat(value, ", quantile ", number_text(model.threshold_quantile), " of ",
             counted(model.threshold_rows, cat(name(model.threshold_from), " score")));
}

std::string model_text(const ModelFile& model, const std::string& path) {
  const Network network = model.network();
  std::vector<std::vector<std::string>> rows = {
      {"model", printable(model_path(path))},
      {"hash", model.hash.empty() ? "none" : printable(model.hash)},
      {"row", cat(model.row.text(), ", ", network.features, " features, scale ",
                  name(model.scaling.kind))},
      {"code", cat(network.code_size, " numbers")},
      {"parameters", cat(network.parameter_count())},
      {"trained on",
       cat(printable(model.provenance.data), ", ", counted(model.provenance.rows, "row"), ", ",
           counted(model.provenance.epochs, "epoch"), ", seed ", model.provenance.seed)},
      {"made by", cat("diabolo ", printable(model.provenance.version))}};
  if (model.threshold) rows.push_back({"threshold", threshold_text(model)});
  for (const auto& [key, value] : model.texts.metadata)
    rows.push_back({printable(key), printable(value)});
  for (const Layer* layer : network.layers())
    rows.push_back({layer->name, cat(layer->line.text(), "  ", shape_text(layer->in), " -> ",
                                     shape_text(layer->out), "  ", kernels::name(layer->activation),
                                     layer->is_tied ? "  tied" : "")});
  for (const StateSpec& spec : network.states()) rows.push_back({spec.name, spec.desc.text()});
  return table_text(rows);
}

nlohmann::json data_json(const Dataset& data) {
  nlohmann::json json = {{"kind", "data"},
                         {"input", data.name()},
                         {"shape", data.text()},
                         {"dtype", name(data.x().row.dtype())},
                         {"features", data.x().row.elems()},
                         {"images", data.holds_images()},
                         {"default_scale", name(default_scale(data))}};
  if (data.rows()) json["rows"] = *data.rows();
  if (!first_line(data).empty()) json["first_line"] = first_line(data);
  return json;
}

std::string data_text(const Dataset& data) {
  std::vector<std::vector<std::string>> rows = {{"data", printable(data.name())},
                                                {"shape", data.text()},
                                                {"features", cat(data.x().row.elems())},
                                                {"images", data.holds_images() ? "yes" : "no"},
                                                {"default scale", name(default_scale(data))}};
  if (!first_line(data).empty()) rows.push_back({"first line", first_line(data)});
  return table_text(rows);
}

int run(const InspectArguments& arguments) {
  Terminal terminal(arguments.out);
  if (is_model(arguments.path)) {
    const ModelFile model = open_model(arguments.path, arguments.model_options, terminal);
    arguments.out.json ? print_json(arguments.out, terminal, model_json(model, arguments.path))
                       : print_result(model_text(model, arguments.path));
    return 0;
  }
  OpenOptions options = open_options(data_config(arguments.data));
  options.only_header = true;
  const auto data = open_dataset(arguments.path, options);
  arguments.out.json ? print_json(arguments.out, terminal, data_json(*data))
                     : print_result(data_text(*data));
  return 0;
}

}  // namespace

std::function<int()> describe_inspect(Arguments& arguments) {
  const auto target = std::make_shared<InspectArguments>();
  arguments.positional("FILE", target->path, "a model file, a run directory or a data file");
  target->out.describe(arguments, false);
  target->data.describe(arguments);
  target->model_options.describe(arguments);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
