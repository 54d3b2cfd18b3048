// What the tests of the C interface share: a context on the CPU, rows, and a model trained on them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "diabolo/diabolo.h"

namespace diabolo_test {

inline constexpr uint64_t kFeatures = 12;
inline constexpr uint64_t kCodeSize = 3;
inline constexpr uint64_t kRows = 300;

template <class Struct>
Struct sized() {
  Struct out{};
  out.struct_size = sizeof out;
  return out;
}

// Smooth curves, [rows, features].
inline std::vector<float> wave_rows(uint64_t rows, uint64_t features = kFeatures) {
  std::vector<float> out;
  for (uint64_t row = 0; row < rows; ++row)
    for (uint64_t i = 0; i < features; ++i)
      out.push_back(std::sin(0.1f * static_cast<float>(row) + static_cast<float>(i)));
  return out;
}

inline diabolo_rows view(const std::vector<float>& values, uint64_t features = kFeatures) {
  return diabolo_rows_f32(values.data(), values.size() / features, features);
}

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "diabolo_capi_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline diabolo_context* cpu_context() {
  auto options = sized<diabolo_context_options>();
  options.device = "cpu";
  options.threads = 1;
  diabolo_context* context = nullptr;
  EXPECT_EQ(diabolo_context_create(&options, &context), DIABOLO_OK) << diabolo_last_error();
  return context;
}

inline constexpr const char* kHidden = "model.encoder.hidden=[16]";

// Options of a training that takes no time.
inline diabolo_train_options quick_training() {
  auto options = sized<diabolo_train_options>();
  options.settings = &kHidden;
  options.setting_count = 1;
  options.epochs = 3;
  options.batch_size = 64;
  options.code_size = kCodeSize;
  return options;
}

inline diabolo_model* train_small(diabolo_context* context) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  const diabolo_train_options options = quick_training();
  diabolo_model* model = nullptr;
  EXPECT_EQ(diabolo_train(context, &rows, &options, &model, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  return model;
}

// One context and one model for all tests of a program.
class SmallModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    context = cpu_context();
    model = train_small(context);
    ASSERT_NE(model, nullptr);
  }
  static void TearDownTestSuite() {
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
    EXPECT_EQ(diabolo_context_destroy(context), DIABOLO_OK);
  }

  static inline diabolo_context* context = nullptr;
  static inline diabolo_model* model = nullptr;
};

}  // namespace diabolo_test
