#include "train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "model/json_text.h"
#include "model/safetensors.h"

namespace diabolo {
namespace {

using nlohmann::json;

constexpr const char* kDescription = "diabolo.checkpoint";
constexpr int64_t kFormatVersion = 1;
constexpr const char* kBest = "best";
constexpr const char* kSum = "_sum";  // behind the name of a term of the loss
constexpr const char* kLossSum = "loss_sum";

// The numbers that every checkpoint has, by their names in the file.
template <class Self, class Visit>
void for_each_number(Self& c, const Visit& visit) {
  visit("step", c.step);
  visit("epoch", c.epoch);
  visit("position", c.position);
  visit(kLossSum, c.loss_sum);
  visit("seconds", c.seconds);
  visit("metrics_bytes", c.metrics_bytes);
  visit("best_validation_loss", c.best_validation_loss);
  visit("best_epoch", c.best_epoch);
}

json description_of(const Checkpoint& c) {
  json out = {{"format_version", kFormatVersion}, {"identity", c.identity}};
  for_each_number(c, [&](const char* name, const auto& value) { out[name] = value; });
  for (const TermValue& term : c.term_sums) out[term.name + kSum] = term.value;
  if (c.last_validation_loss) out["last_validation_loss"] = *c.last_validation_loss;
  if (!c.computed_on.empty()) out["computed_on"] = c.computed_on;
  const KnownFile& data = c.data_file;
  if (!data.identity.empty())
    out["data_file"] = {
        {"path", data.stamp.path}, {"content", data.stamp.content}, {"identity", data.identity}};
  return out;
}

// Numbers of the description; anything else than expected is damage.
template <class T>
T number(const json& object, const char* name, const std::string& path) {
  const auto found = object.find(name);
  const bool is_whole = !std::is_floating_point_v<T>;
  const bool fits =
      found != object.end() &&
      (is_whole ? found->is_number_unsigned() && found->get<uint64_t>() <= (uint64_t{1} << 62)
                : found->is_number() && std::isfinite(found->get<double>()));
  if (!fits) throw Error(ErrorCode::kModel, cat(path, ": ", name, ": expected a number"));
  return found->get<T>();
}

// Of a term or a measure; JSON has no NaN.
double sum_of(const json& object, const std::string& name, const std::string& path) {
  if (object[name].is_null()) return std::numeric_limits<double>::quiet_NaN();
  return number<double>(object, name.c_str(), path);
}

// "" where it is absent, as in checkpoints from before it was written.
std::string text(const json& object, const char* name, const std::string& path) {
  const auto found = object.find(name);
  if (found == object.end()) return "";
  if (!found->is_string())
    throw Error(ErrorCode::kModel, cat(path, ": ", name, ": expected a text"));
  return found->get<std::string>();
}

void read_description(const json& object, const std::string& path, Checkpoint& c) {
  if (!object.is_object() || !object.contains("identity") || !object["identity"].is_string() ||
      number<int64_t>(object, "format_version", path) != kFormatVersion)
    throw Error(ErrorCode::kModel, cat(path, ": not a checkpoint that this version reads"));
  c.identity = object["identity"].get<std::string>();
  for_each_number(
      c, [&]<class T>(const char* name, T& value) { value = number<T>(object, name, path); });
  for (const auto& [key, value] : object.items())
    if (key.ends_with(kSum) && key != kLossSum)
      c.term_sums.push_back({key.substr(0, key.rfind(kSum)), sum_of(object, key, path)});
  if (c.best_epoch > c.epoch)
    throw Error(ErrorCode::kModel, cat(path, ": best_epoch: expected at most ", c.epoch,
                                       ", the epochs done, found ", c.best_epoch));
  if (object.contains("last_validation_loss"))
    c.last_validation_loss = number<double>(object, "last_validation_loss", path);
  c.computed_on = text(object, "computed_on", path);
  if (!object.contains("data_file")) return;
  const json& data = object["data_file"];
  c.data_file = {{text(data, "path", path), text(data, "content", path)},
                 text(data, "identity", path)};
}

// Where each of the model's blobs is kept as it was in the best epoch: "best" for all parameters.
struct Kept {
  std::string name;
  TensorDesc desc;
};
std::vector<Kept> kept_of(const StateBlobs& blobs) {
  std::vector<Kept> kept;
  for (const StateSpec& spec : blobs.specs())
    if (spec.kind == StateKind::kOfModel)
      kept.push_back({kept.empty() ? kBest : cat(kBest, ".", spec.name), spec.desc});
  for (const Kept& each : kept)
    DIABOLO_CHECK(
        std::ranges::find(blobs.specs(), each.name, &StateSpec::name) == blobs.specs().end(),
        each.name);
  return kept;
}

// Whether there are weights of a best epoch, which the file must say in both of its ways.
bool has_best(const SafetensorsFile& file, const Checkpoint& checkpoint) {
  const bool is_there = file.find(kBest) != nullptr;
  if (is_there != (checkpoint.best_epoch > 0))
    throw Error(ErrorCode::kModel,
                cat(file.name(), ": best_epoch is ", checkpoint.best_epoch, ", but the tensor ",
                    kBest, is_there ? " is there" : " is missing"));
  return is_there;
}

}  // namespace

void save_checkpoint(const Checkpoint& checkpoint, const StateBlobs& blobs, const std::string& path,
                     FileSystem& fs) {
  SafetensorsWriter writer;
  writer.set_metadata(
      kDescription,
      description_of(checkpoint).dump(-1, ' ', false, json::error_handler_t::replace));
  write_texts(checkpoint.texts, writer);
  const auto specs = blobs.specs();
  for (size_t i = 0; i < specs.size(); ++i)
    if (!is_left_out(specs[i], checkpoint.step))
      writer.add(specs[i].name, specs[i].desc,
                 [&blobs, i](const BlockTaker& take) { blobs.read(i, take); });
  const std::vector<Kept> kept = kept_of(blobs);
  DIABOLO_CHECK(checkpoint.best.empty() || checkpoint.best.size() == kept.size(), kept.size());
  for (size_t i = 0; i < checkpoint.best.size(); ++i)
    writer.add(kept[i].name, kept[i].desc, std::as_bytes(std::span(checkpoint.best[i])));
  writer.write(path, fs);
}

Checkpoint load_checkpoint(const std::string& path, StateBlobs& blobs,
                           const std::function<bool(const std::string& identity)>& is_ours,
                           FileSystem& fs) {
  SafetensorsOptions options;
  options.fs = &fs;
  const SafetensorsFile file = SafetensorsFile::open(path, options);
  Checkpoint out;
  read_description(parse_json_text(file.require_metadata(kDescription), path, ErrorCode::kModel),
                   path, out);
  if (!is_ours(out.identity))
    throw Error(ErrorCode::kModel, cat(path,
                                       ": belongs to a training with other data or another "
                                       "configuration; use --overwrite to start anew"));
  out.texts = read_texts(file);
  const auto specs = blobs.specs();
  for (size_t i = 0; i < specs.size(); ++i)
    if (!is_left_out(specs[i], out.step) || file.find(specs[i].name) != nullptr)
      file.read(file.require(specs[i].name, specs[i].desc), blobs.target(i));
  if (!has_best(file, out)) return out;
  for (const Kept& kept : kept_of(blobs)) {
    const SafetensorsFile::Tensor& tensor = file.require(kept.name, kept.desc);
    std::vector<float>& values = out.best.emplace_back(kept.desc.elems());
    file.read(tensor, std::as_writable_bytes(std::span(values)));
  }
  return out;
}

}  // namespace diabolo
