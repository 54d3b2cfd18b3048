#include "model/model_description.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "model/json_text.h"

namespace diabolo {
namespace {

using nlohmann::json;

constexpr int64_t kFormatVersion = 1;

// Reads fields of the description, each with its type checked.
class Fields {
 public:
  Fields(const json& object, const std::string& file, std::string path)
      : object_(object), file_(file), path_(std::move(path)) {
    if (!object.is_object()) fail(path_, "expected an object");
  }

  [[noreturn]] void fail(const std::string& where, const std::string& what) const {
    throw Error(ErrorCode::kModel, cat(file_, ": ", where, ": ", what));
  }
  bool has(const char* name) const { return object_.contains(name); }
  const json& at(const char* name) const {
    const auto found = object_.find(name);
    if (found == object_.end()) fail(where(name), "missing");
    return *found;
  }
  Fields table(const char* name) const { return Fields(at(name), file_, where(name)); }
  std::string text(const char* name) const {
    if (!at(name).is_string()) fail(where(name), "expected text");
    return at(name).get<std::string>();
  }
  uint64_t count(const char* name) const {
    if (!at(name).is_number_unsigned()) fail(where(name), "expected a number from 0");
    return at(name).get<uint64_t>();
  }
  double number(const char* name) const {
    if (!at(name).is_number() || !std::isfinite(at(name).get<double>()))
      fail(where(name), "expected a number");
    return at(name).get<double>();
  }
  std::string where(const char* name) const { return path_.empty() ? name : path_ + "." + name; }

 private:
  const json& object_;
  const std::string& file_;
  std::string path_;
};

void put_stamp(json& out, const char* key, const FileStamp& stamp) {
  if (!stamp.path.empty()) out[key] = {{"path", stamp.path}, {"content", stamp.content}};
}

FileStamp stamp_from(const Fields& fields, const char* key) {
  if (!fields.has(key)) return {};
  const Fields stamp = fields.table(key);
  return {stamp.text("path"), stamp.text("content")};
}

json json_of(const ModelFile& model) {
  json out;
  out["format_version"] = kFormatVersion;
  out["config"] = stored_config_json(model.config);
  out["row"] = {
      {"dtype", name(model.row.dtype())},
      {"shape", std::vector<int64_t>(model.row.extents().begin(), model.row.extents().end())}};
  out["scale"] = name(model.scaling.kind);
  if (model.threshold)
    out["threshold"] = {{"value", *model.threshold},
                        {"quantile", model.threshold_quantile},
                        {"from", name(model.threshold_from)},
                        {"rows", model.threshold_rows}};
  const Provenance& from = model.provenance;
  out["provenance"] = {{"version", from.version},
                       {"data", from.data},
                       {"rows", from.rows},
                       {"seed", from.seed},
                       {"epochs", from.epochs}};
  put_stamp(out["provenance"], "data_file", from.data_file);
  put_stamp(out["provenance"], "labels_file", from.labels_file);
  return out;
}

TensorDesc row_from(const Fields& row) {
  const auto dtype = dtype_from_name(row.text("dtype"));
  if (!dtype) row.fail(row.where("dtype"), "not a type");
  const json& shape = row.at("shape");
  if (!shape.is_array() || shape.size() > kMaxRank - 1)
    row.fail(row.where("shape"), "expected a list of at most 4 extents");
  std::vector<int64_t> extents;
  int64_t elems = 1;
  for (const json& extent : shape) {
    const uint64_t value = extent.is_number_unsigned() ? extent.get<uint64_t>() : 0;
    const auto product = checked_cast<int64_t>(value)
                             ? checked_mul(elems, static_cast<int64_t>(value))
                             : std::nullopt;
    if (value < 1 || !product || *product > (int64_t{1} << 40))
      row.fail(row.where("shape"), "an extent is not a size");
    elems = *product;
    extents.push_back(static_cast<int64_t>(value));
  }
  return TensorDesc(*dtype, extents);
}

// Before `from` and `rows` were written it was a quantile of the training's scores.
void read_threshold(const Fields& fields, ModelFile& model) {
  model.threshold = fields.number("value");
  model.threshold_quantile = fields.number("quantile");
  model.threshold_rows = fields.has("rows") ? fields.count("rows") : model.provenance.rows;
  if (!fields.has("from")) return;
  const std::string from = fields.text("from");
  const auto known = {ThresholdFrom::kTraining, ThresholdFrom::kValidation, ThresholdFrom::kChosen};
  const auto found = std::ranges::find(known, from, [](ThresholdFrom one) { return name(one); });
  if (found == known.end()) fields.fail(fields.where("from"), "not a kind of rows");
  model.threshold_from = *found;
}

// Everything but the tensors.
void read_fields(const Fields& fields, ModelFile& model) {
  if (fields.count("format_version") != kFormatVersion)
    fields.fail("format_version", cat("this version of diabolo reads ", kFormatVersion));
  model.config = config_from_json(fields.at("config"));
  model.row = row_from(fields.table("row"));
  const auto kind = scale_from_name(fields.text("scale"));
  if (!kind) fields.fail("scale", "not a scaling");
  model.scaling.kind = *kind;
  const Fields from = fields.table("provenance");
  model.provenance = {from.text("version"),
                      from.text("data"),
                      from.count("rows"),
                      from.count("seed"),
                      from.count("epochs"),
                      stamp_from(from, "data_file"),
                      stamp_from(from, "labels_file")};
  if (fields.has("threshold")) read_threshold(fields.table("threshold"), model);
}

}  // namespace

const char* name(ThresholdFrom from) {
  if (from == ThresholdFrom::kChosen) return "chosen";
  return from == ThresholdFrom::kValidation ? "validation" : "training";
}

std::string description_of(const ModelFile& model) {
  return json_of(model).dump(-1, ' ', false, json::error_handler_t::replace);
}

void read_description(const std::string& text, const std::string& file, ModelFile& model) {
  read_fields(Fields(parse_json_text(text, file, ErrorCode::kModel), file, ""), model);
  const auto& data = model.config.data;
  if (!data.scale || *data.scale != model.scaling.kind || !model.config.model.decoder.output ||
      model.config.model.corruption.clip == ClipKind::kAuto)
    throw Error(ErrorCode::kModel, cat(file, ": the configuration is not resolved"));
  resolved(model.config, model.scaling.kind);  // checks combinations
}

}  // namespace diabolo
