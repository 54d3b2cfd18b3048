// A model on disk: one safetensors file with the weights and, in its metadata, everything else that
// is needed to use them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/file_stamp.h"
#include "model/config.h"
#include "model/model.h"
#include "model/model_texts.h"
#include "model/parameter_values.h"
#include "model/safetensors.h"

namespace diabolo {

// Where the weights come from; for people and for defaults, never for arithmetic.
struct Provenance {
  std::string version;  // of diabolo
  std::string data;     // name of the training data, as given
  uint64_t rows = 0;    // used for training
  uint64_t seed = 0;
  uint64_t epochs = 0;  // that the weights have seen
  FileStamp data_file = {};
  FileStamp labels_file = {};
};

// Which rows' scores the threshold is a quantile of.
enum class ThresholdFrom { kTraining, kValidation, kChosen };  // chosen: no rows, a user's number
const char* name(ThresholdFrom from);                          // "training", "validation", "chosen"

// A model in memory. Plain data; the weights are the f32 masters.
struct ModelFile {
  Config config;                    // resolved
  TensorDesc row;                   // type and shape of one row as the training data had it
  Scaling scaling;                  // one entry per feature
  std::optional<double> threshold;  // of the score
  double threshold_quantile = 0;    // which quantile of these rows' scores it is
  ThresholdFrom threshold_from = ThresholdFrom::kTraining;
  uint64_t threshold_rows = 0;
  Provenance provenance;
  ModelTexts texts;
  ParameterValues parameters;  // one per entry of network().parameters()
  StateValues states;          // one per entry of network().states()
  std::string hash;            // content hash where loaded or saved, else empty

  int64_t features() const { return row.elems(); }
  Network network() const { return Network::of(config.model, row); }
};

struct LoadOptions {
  bool allow_unverified = false;
  FileSystem* fs = nullptr;
};

// path: a model file, or a run directory (its model.safetensors). Throws Error{kModel}.
ModelFile load_model(const std::string& path, const LoadOptions& options = {});
// Atomic. Throws Error{kResource}. Sets model.hash.
void save_model(ModelFile& model, const std::string& path, FileSystem& fs = real_file_system());
// The same with parameters from elsewhere, entry by entry of network().parameters(); those of the
// model are not looked at. Returns the content's hash.
using ParameterSource = std::function<void(size_t index, const BlockTaker& take)>;
std::string save_model(const ModelFile& model, const ParameterSource& parameters,
                       const std::string& path, FileSystem& fs);

// The same; returns the hash.
std::string write_model(const ModelFile& model, const std::string& path,
                        FileSystem& fs = real_file_system());

// Loads from the bytes of a file, which are `name` in messages.
ModelFile load_model_bytes(std::span<const std::byte> bytes, const std::string& name,
                           const LoadOptions& options = {});
// What save_model writes: how many bytes, their content hash, and the bytes themselves, for which
// `out` has the room.
uint64_t model_file_bytes(const ModelFile& model);
std::string model_file_hash(const ModelFile& model);
void save_model_bytes(const ModelFile& model, std::span<std::byte> out);

// The file that a path given as MODEL means.
std::string model_path(const std::string& path);

// "0.1.0"
const char* library_version();

}  // namespace diabolo
