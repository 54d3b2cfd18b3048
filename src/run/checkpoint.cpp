#include "run/checkpoint.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/json_text.h"
#include "model/safetensors.h"

namespace diabolo {
namespace {

using nlohmann::json;

constexpr const char* kDescription = "diabolo.checkpoint";
constexpr int64_t kFormatVersion = 1;
constexpr const char* kBlobs[] = {"master", "m", "v"};  // the first is always there
constexpr const char* kBest = "best";

json description_of(const Checkpoint& c) {
  json out = {{"format_version", kFormatVersion},
              {"identity", c.identity},
              {"step", c.step},
              {"epoch", c.epoch},
              {"position", c.position},
              {"loss_sum", c.loss_sum},
              {"reconstruction_sum", c.reconstruction_sum},
              {"penalty_sum", c.penalty_sum},
              {"seconds", c.seconds},
              {"metrics_bytes", c.metrics_bytes},
              {"best_validation_loss", c.best_validation_loss},
              {"best_epoch", c.best_epoch}};
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
  c.step = number<uint64_t>(object, "step", path);
  c.epoch = number<int64_t>(object, "epoch", path);
  c.position = number<uint64_t>(object, "position", path);
  c.loss_sum = number<double>(object, "loss_sum", path);
  c.reconstruction_sum = number<double>(object, "reconstruction_sum", path);
  c.penalty_sum = number<double>(object, "penalty_sum", path);
  c.seconds = number<double>(object, "seconds", path);
  c.metrics_bytes = number<uint64_t>(object, "metrics_bytes", path);
  c.best_validation_loss = number<double>(object, "best_validation_loss", path);
  c.best_epoch = number<int64_t>(object, "best_epoch", path);
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

// What an optimizer holds before the first step.
bool is_zero(const Checkpoint& checkpoint, std::string_view name) {
  return checkpoint.step == 0 && name != kBlobs[0];
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
  const TensorDesc desc(DType::kF32, {static_cast<int64_t>(blobs.elems())});
  for (const char* name : kBlobs) {
    if (!blobs.has(name) || is_zero(checkpoint, name)) continue;
    writer.add(name, desc, [&blobs, name](const BlockTaker& take) { blobs.read(name, take); });
  }
  if (!checkpoint.best.empty()) writer.add(kBest, desc, std::as_bytes(std::span(checkpoint.best)));
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
  const TensorDesc desc(DType::kF32, {static_cast<int64_t>(blobs.elems())});
  for (const char* name : kBlobs) {
    if (!blobs.has(name) || (is_zero(out, name) && file.find(name) == nullptr)) continue;
    file.read(file.require(name, desc), blobs.target(name));
  }
  if (!has_best(file, out)) return out;
  const SafetensorsFile::Tensor& best = file.require(kBest, desc);
  out.best.resize(blobs.elems());
  file.read(best, std::as_writable_bytes(std::span(out.best)));
  return out;
}

}  // namespace diabolo
