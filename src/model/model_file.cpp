#include "model/model_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "base/memory_file.h"
#include "data/wide.h"
#include "model/json_text.h"
#include "model/safetensors.h"

namespace diabolo {
namespace {

using nlohmann::json;

constexpr const char* kDescription = "diabolo.model";
constexpr int64_t kFormatVersion = 1;
constexpr const char* kShift = "preprocessing.shift";
constexpr const char* kScale = "preprocessing.scale";
constexpr const char* kMean = "preprocessing.mean";
// f64[D]: the same to all digits, where the rows are of a wide type (Scaling::Wide). Files of the
// first builds have none of the four; rows are then rounded to f32 first, as they did.
constexpr const char* kWideShift = "preprocessing.wide_shift";
constexpr const char* kWideRest = "preprocessing.wide_rest";
constexpr const char* kWideScale = "preprocessing.wide_scale";
constexpr const char* kWideMean = "preprocessing.wide_mean";

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

json description_of(const ModelFile& model) {
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
void read_description(const Fields& fields, ModelFile& model) {
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

template <class Number>
bool are_finite(std::span<const Number> values) {
  using Bits = std::conditional_t<sizeof(Number) == 4, uint32_t, uint64_t>;
  constexpr auto kExponent = std::bit_cast<Bits>(std::numeric_limits<Number>::infinity());
  Bits found = 0;  // without a branch per number, so that several are looked at in one go
  for (const Number value : values)
    found |= static_cast<Bits>((std::bit_cast<Bits>(value) & kExponent) == kExponent);
  return found == 0;
}

// Block by block: filled, hashed and checked while it is in the cache.
template <class Number>
void read_values(const SafetensorsFile& file, const std::string& name, const TensorDesc& desc,
                 std::span<Number> values) {
  bool is_finite = true;
  BlockTarget target;
  target.room = [&](uint64_t offset, uint64_t bytes) {
    return std::as_writable_bytes(values).subspan(offset, bytes);
  };
  target.filled = [&](uint64_t offset, std::span<const std::byte> block) {
    const std::span<const Number> all = values;
    is_finite = is_finite &&
                are_finite(all.subspan(offset / sizeof(Number), block.size() / sizeof(Number)));
  };
  file.read(file.require(name, desc), target);
  if (!is_finite)
    throw Error(ErrorCode::kModel, cat(file.name(), ": ", name,
                                       " holds numbers that are not "
                                       "finite; the model cannot be used"));
}

template <class Number = float>
std::vector<Number> read_vector(const SafetensorsFile& file, const std::string& name,
                                const TensorDesc& desc) {
  file.require(name, desc);
  std::vector<Number> values(static_cast<size_t>(desc.elems()));
  read_values<Number>(file, name, desc, values);
  return values;
}

template <class Number>
void require_no_zero(const SafetensorsFile& file, const std::string& name,
                     std::span<const Number> values) {
  if (std::ranges::find(values, Number{0}) == values.end()) return;
  throw Error(ErrorCode::kModel, cat(file.name(), ": ", name, " holds a 0"));
}

Scaling::Wide read_wide(const SafetensorsFile& file, int64_t features) {
  const TensorDesc vector(DType::kF64, {features});
  Scaling::Wide wide{
      read_vector<double>(file, kWideShift, vector), read_vector<double>(file, kWideRest, vector),
      read_vector<double>(file, kWideScale, vector), read_vector<double>(file, kWideMean, vector)};
  require_no_zero<double>(file, kWideScale, wide.scale);
  return wide;
}

void read_tensors(const SafetensorsFile& file, ModelFile& model) {
  const std::vector<ParameterSpec> specs = model.network().parameters();
  const bool has_mean = file.find(kMean) != nullptr;
  const bool has_wide = file.find(kWideShift) != nullptr;
  const size_t expected = specs.size() + (has_mean ? 3 : 2) + (has_wide ? 4 : 0);
  if (file.tensors().size() != expected)
    throw Error(ErrorCode::kModel, cat(file.name(), ": expected ", expected, " tensors, found ",
                                       file.tensors().size()));
  const TensorDesc vector(DType::kF32, {model.features()});
  model.scaling.shift = read_vector(file, kShift, vector);
  model.scaling.scale = read_vector(file, kScale, vector);
  require_no_zero<float>(file, kScale, model.scaling.scale);
  if (has_mean) model.scaling.mean = read_vector(file, kMean, vector);
  if (has_wide) model.scaling.wide = read_wide(file, model.features());
  const bool is_fitted =
      model.scaling.kind == Scale::kStandard || model.scaling.kind == Scale::kMinmax;
  model.scaling.rounds_first = is_fitted && is_wide(model.row.dtype()) && !has_wide;
  for (const ParameterSpec& spec : specs)
    file.require(spec.name, spec.desc);  // the file is as large as what is now allocated
  model.parameters = ParameterValues(specs);
  for (size_t i = 0; i < specs.size(); ++i)
    read_values(file, specs[i].name, specs[i].desc, model.parameters.writable(i));
}

ModelFile read_model(const SafetensorsFile& file) {
  const json description =
      parse_json_text(file.require_metadata(kDescription), file.name(), ErrorCode::kModel);
  ModelFile model;
  read_description(Fields(description, file.name(), ""), model);
  const auto& data = model.config.data;
  if (!data.scale || *data.scale != model.scaling.kind || !model.config.model.decoder.output ||
      model.config.model.corruption.clip == ClipKind::kAuto)
    throw Error(ErrorCode::kModel, cat(file.name(), ": the configuration is not resolved"));
  resolved(model.config, model.scaling.kind);  // checks combinations
  read_tensors(file, model);
  model.texts = read_texts(file);
  check_texts(model.texts, model.features());
  model.hash = file.content_hash();
  return model;
}

}  // namespace

const char* name(ThresholdFrom from) {
  if (from == ThresholdFrom::kChosen) return "chosen";
  return from == ThresholdFrom::kValidation ? "validation" : "training";
}

std::string model_path(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? path + "/model.safetensors" : path;
}

namespace {

ModelFile load_file(const std::string& path, const LoadOptions& options) {
  SafetensorsOptions open_options;
  open_options.allow_unverified = options.allow_unverified;
  open_options.fs = options.fs;
  const SafetensorsFile file = SafetensorsFile::open(path, open_options);
  try {
    return read_model(file);
  } catch (const Error& error) {
    // Combinations and sizes are checked by code that also serves the command line. Other troubles,
    // as too little memory, are not the file's.
    if (error.code() != ErrorCode::kUsage && error.code() != ErrorCode::kData) throw;
    throw Error(ErrorCode::kModel, cat(path, ": ", error.what()));
  }
}

// Borrows the parameters, entry by entry of network().parameters().
SafetensorsWriter writer_of(const ModelFile& model, const ParameterSource& parameters) {
  const std::vector<ParameterSpec> specs = model.network().parameters();
  SafetensorsWriter writer;
  writer.set_metadata(kDescription,
                      description_of(model).dump(-1, ' ', false, json::error_handler_t::replace));
  write_texts(model.texts, writer);
  const TensorDesc vector(DType::kF32, {model.features()});
  const auto add = [&](const std::string& name, const TensorDesc& desc, const auto& values) {
    writer.add(name, desc, std::as_bytes(std::span(values)));
  };
  add(kShift, vector, model.scaling.shift);
  add(kScale, vector, model.scaling.scale);
  if (!model.scaling.mean.empty()) add(kMean, vector, model.scaling.mean);
  const Scaling::Wide& wide = model.scaling.wide;
  if (!wide.shift.empty()) {
    const TensorDesc doubles(DType::kF64, {model.features()});
    add(kWideShift, doubles, wide.shift);
    add(kWideRest, doubles, wide.rest);
    add(kWideScale, doubles, wide.scale);
    add(kWideMean, doubles, wide.mean);
  }
  for (size_t i = 0; i < specs.size(); ++i)
    writer.add(specs[i].name, specs[i].desc,
               [parameters, i](const BlockTaker& take) { parameters(i, take); });
  return writer;
}

ParameterSource own_parameters(const ModelFile& model) {
  DIABOLO_CHECK(model.network().parameters().size() == model.parameters.size(),
                "the model's weights are not complete");
  return [&model](size_t index, const BlockTaker& take) {
    take(std::as_bytes(model.parameters[index]));
  };
}

// Memory as somewhere to write to.
class MemorySink final : public Sink {
 public:
  explicit MemorySink(std::span<std::byte> room) : all_(room), room_(room) {}

  using Sink::write;
  void write(std::span<const std::byte> bytes) override {
    DIABOLO_CHECK(bytes.size() <= room_.size(), bytes.size(), " bytes, room for ", room_.size());
    std::ranges::copy(bytes, room_.begin());
    room_ = room_.subspan(bytes.size());
  }
  bool can_rewrite() const override { return true; }
  void write_at(uint64_t offset, std::span<const std::byte> bytes) override {
    DIABOLO_CHECK(offset + bytes.size() <= all_.size() - room_.size(), offset);
    std::ranges::copy(bytes, all_.subspan(offset).begin());
  }
  void commit() override {}

 private:
  std::span<std::byte> all_, room_;  // room: what is left of it
};

}  // namespace

ModelFile load_model(const std::string& path, const LoadOptions& options) {
  return load_file(model_path(path), options);
}

ModelFile load_model_bytes(std::span<const std::byte> bytes, const std::string& name,
                           const LoadOptions& options) {
  MemoryFile file(bytes);
  LoadOptions from_memory = options;
  from_memory.fs = &file;
  return load_file(name, from_memory);
}

void save_model(ModelFile& model, const std::string& path, FileSystem& fs) {
  model.hash = write_model(model, path, fs);
}

std::string write_model(const ModelFile& model, const std::string& path, FileSystem& fs) {
  return save_model(model, own_parameters(model), path, fs);
}

std::string save_model(const ModelFile& model, const ParameterSource& parameters,
                       const std::string& path, FileSystem& fs) {
  return writer_of(model, parameters).write(path, fs);
}

uint64_t model_file_bytes(const ModelFile& model) {
  return writer_of(model, own_parameters(model)).file_bytes();
}

std::string model_file_hash(const ModelFile& model) {
  return writer_of(model, own_parameters(model)).content_hash();
}

void save_model_bytes(const ModelFile& model, std::span<std::byte> out) {
  MemorySink sink(out);
  writer_of(model, own_parameters(model)).write(sink);
}

const char* library_version() {
  return DIABOLO_VERSION;
}

}  // namespace diabolo
