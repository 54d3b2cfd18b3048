// Small trainings that finish in milliseconds.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/philox.h"
#include "train/trainer.h"

namespace diabolo {

// A folder that is gone after the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "diabolo-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// What a term of the loss came to; NaN where there is none of the name.
inline double term(const EpochMetrics& metrics, std::string_view name) {
  for (const TermValue& each : metrics.terms)
    if (each.name == name) return each.value;
  return std::nan("");
}

inline void set_penalty(Config& config, const TermDef& def, double weight,
                        int64_t warmup_steps = 0) {
  const std::string key = cat("model.penalty.", def.name);
  set_config(config, key, weight);
  set_config(config, key + "_warmup_steps", warmup_steps);
}

// Rows near a plane of three dimensions: something that a code of three numbers can learn.
inline std::vector<float> planar_rows(uint64_t rows, uint64_t features, uint64_t seed) {
  const kernels::RandomKey basis{seed, 1, 0}, place{seed, 2, 0};
  std::vector<float> out(rows * features);
  for (uint64_t r = 0; r < rows; ++r) {
    for (uint64_t f = 0; f < features; ++f) {
      float sum = 0;
      for (uint32_t k = 0; k < 3; ++k)
        sum += kernels::normal_at(place, static_cast<uint32_t>(r), k) *
               kernels::normal_at(basis, k, f);
      out[r * features + f] = sum;
    }
  }
  return out;
}

struct FloatData {
  explicit FloatData(std::vector<float> rows_in, int64_t features)
      : values(std::move(rows_in)),
        data(memory_dataset("rows", TensorDesc(DType::kF32, {features}),
                            std::as_bytes(std::span(values)))) {}

  std::vector<float> values;
  std::unique_ptr<Dataset> data;
};

struct ByteData {
  ByteData(uint64_t rows, int64_t features, uint64_t seed) {
    for (const float value : planar_rows(rows, static_cast<uint64_t>(features), seed))
      values.push_back(static_cast<uint8_t>(std::clamp(value * 30 + 128, 0.0f, 255.0f)));
    data = memory_dataset("bytes", TensorDesc(DType::kU8, {features}),
                          std::as_bytes(std::span(values)));
  }

  std::vector<uint8_t> values;
  std::unique_ptr<Dataset> data;
};

inline Config small_config() {
  Config config;
  config.model.encoder.hidden = {16, 8};
  const auto is_centre = [](const BlockDef* block) { return block->name == std::string("centre"); };
  if (std::ranges::any_of(block_defs(), is_centre)) {  // of stateful_part.h
    config.model.encoder.hidden = {};
    config.model.encoder.layers = {"dense 16", "dense 8", "centre"};
  }
  config.model.code.size = 3;
  config.train.batch_size = 32;
  config.train.epochs = 3;
  config.train.seed = 7;
  config.optimizer.learning_rate = 3e-3;
  return config;
}

// The bits of all weights.
inline std::vector<uint32_t> bits_of(const ModelFile& model) {
  std::vector<uint32_t> bits;
  for (const auto& values : model.parameters)
    for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

}  // namespace diabolo
