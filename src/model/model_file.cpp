#include "model/model_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <limits>
#include <set>

#include "base/memory_file.h"
#include "data/column_reference.h"
#include "data/wide.h"
#include "model/model_description.h"
#include "model/safetensors.h"

namespace diabolo {
namespace {

constexpr const char* kDescription = "diabolo.model";
constexpr const char* kShift = "preprocessing.shift";
constexpr const char* kScale = "preprocessing.scale";
constexpr const char* kMean = "preprocessing.mean";
// f64[D]: the same to all digits, where the rows are of a wide type (Scaling::Wide). Files of the
// first builds have none of the four; rows are then rounded to f32 first, as they did.
constexpr const char* kWideShift = "preprocessing.wide_shift";
constexpr const char* kWideRest = "preprocessing.wide_rest";
constexpr const char* kWideScale = "preprocessing.wide_scale";
constexpr const char* kWideMean = "preprocessing.wide_mean";

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

// What is not known would be lost when the model is saved, and may change what it computes.
void require_known_tensors(const SafetensorsFile& file, const Network& network) {
  std::set<std::string_view> known = {kShift,    kScale,     kMean,    kWideShift,
                                      kWideRest, kWideScale, kWideMean};
  const auto parameters = network.parameters();
  const auto states = network.states();
  for (const ParameterSpec& spec : parameters) known.insert(spec.name);
  for (const StateSpec& spec : states) known.insert(spec.name);
  for (const auto& tensor : file.tensors())
    if (!known.contains(tensor.name))
      throw Error(ErrorCode::kModel,
                  cat(file.name(), ": the tensor ", tensor.name, " is none of this model's"));
}

void read_tensors(const SafetensorsFile& file, ModelFile& model) {
  const Network network = model.network();
  require_known_tensors(file, network);
  const std::vector<ParameterSpec> specs = network.parameters();
  const bool has_mean = file.find(kMean) != nullptr;
  const bool has_wide =  // all of them, then
      std::ranges::any_of(std::array{kWideShift, kWideRest, kWideScale, kWideMean},
                          [&](const char* name) { return file.find(name) != nullptr; });
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
  for (const StateSpec& spec : network.states())
    model.states.push_back(read_vector(file, spec.name, spec.desc));
}

ModelFile read_model(const SafetensorsFile& file) {
  ModelFile model;
  read_description(file.require_metadata(kDescription), file.name(), model);
  read_tensors(file, model);
  model.texts = read_texts(file);
  check_texts(model.texts, model.features());
  ColumnNames& columns = model.config.data.table.columns;
  columns = settled(columns, !model.texts.feature_names.empty());
  model.hash = file.content_hash();
  return model;
}

}  // namespace

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
  const Network network = model.network();
  const std::vector<ParameterSpec> specs = network.parameters();
  const std::vector<StateSpec> states = network.states();
  DIABOLO_CHECK(states.size() == model.states.size(), "the model's state is not complete");
  SafetensorsWriter writer;
  writer.set_metadata(kDescription, description_of(model));
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
  for (size_t i = 0; i < states.size(); ++i) add(states[i].name, states[i].desc, model.states[i]);
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
  const std::string file = model_path(path);
  if (file != path && !path_exists(file))
    throw Error(ErrorCode::kModel,
                cat(path,
                    ": a folder without a model: expected model.safetensors in it, which a "
                    "training writes when it ends (train -o ",
                    path, " --resume goes on)"));
  return load_file(file, options);
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
