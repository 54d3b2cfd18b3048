// Training through the C interface: options, progress, cancelling, run directories.
#include <algorithm>
#include <cstring>
#include <fstream>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

class Train : public testing::Test {
 protected:
  void SetUp() override { context = cpu_context(); }
  void TearDown() override { EXPECT_EQ(diabolo_context_destroy(context), DIABOLO_OK); }

  diabolo_status train(const diabolo_train_options& options, diabolo_model** model) {
    const diabolo_rows rows = view(values);
    return diabolo_train(context, &rows, &options, model, &result);
  }

  std::vector<float> codes_of(const diabolo_model* model) const {
    const diabolo_rows rows = view(values);
    std::vector<float> codes(rows.count * kCodeSize);
    EXPECT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK)
        << diabolo_last_error();
    return codes;
  }

  diabolo_context* context = nullptr;
  const std::vector<float> values = wave_rows(kRows);
  diabolo_train_result result = sized<diabolo_train_result>();
};

// 1e9 + noise: the noise lies in digits that f32 does not have.
TEST_F(Train, RowsWiderThanF32KeepTheirDigits) {
  std::vector<double> wide(values.begin(), values.end());
  for (double& value : wide) value += 1e9;
  wide.back() += 20;
  auto rows = sized<diabolo_rows>();
  rows.data = wide.data();
  rows.count = kRows - 1;
  rows.shape[0] = kFeatures;
  rows.rank = 1;
  rows.dtype = DIABOLO_F64;
  diabolo_model* model = nullptr;
  const diabolo_train_options options = quick_training();
  ASSERT_EQ(diabolo_train(context, &rows, &options, &model, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  rows.count = kRows;
  std::vector<float> scores(kRows);
  ASSERT_EQ(diabolo_score(model, &rows, scores.data(), scores.size()), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_GT(scores.back(), 5 * *std::max_element(scores.begin(), scores.end() - 1));
  wide[5] = HUGE_VAL;
  EXPECT_EQ(diabolo_score(model, &rows, scores.data(), scores.size()), DIABOLO_DATA);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

// A .npy file, version 1.0, of f32 rows.
void write_npy(const std::string& path, const std::vector<float>& values, uint64_t features) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(values.size() / features) + ", " + std::to_string(features) +
                       "), }";
  header.resize(128 - 10 - 1, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  out << "\x93NUMPY\x01" << '\0' << static_cast<char>(header.size()) << '\0' << header;
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
}

TEST_F(Train, TheSameSeedGivesTheSameBits) {
  diabolo_train_options options = quick_training();
  std::vector<std::vector<float>> codes;
  for (const uint64_t seed : {7, 7, 8}) {
    options.seed = seed;
    diabolo_model* model = nullptr;
    ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
    codes.push_back(codes_of(model));
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
  }
  EXPECT_EQ(codes[0], codes[1]);
  EXPECT_NE(codes[0], codes[2]);
}

TEST_F(Train, TheLearningRateIsTheOneThatWasGiven) {
  diabolo_train_options options = quick_training();
  options.learning_rate = 0.0123;
  double seen = 0;
  options.progress_user = &seen;
  options.progress = [](const diabolo_train_progress* progress, void* user) {
    *static_cast<double*>(user) = progress->learning_rate;
    return 0;
  };
  diabolo_model* model = nullptr;
  ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(seen, 0.0123);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

TEST_F(Train, TheTermsOfTheLossAreGivenByName) {
  const char* const settings[] = {kHidden, "model.penalty.l2=0.01",
                                  "model.penalty.l2_warmup_steps=4"};
  diabolo_train_options options = quick_training();
  diabolo_train_progress seen{};
  options.progress_user = &seen;
  options.progress = [](const diabolo_train_progress* progress, void* user) {
    *static_cast<diabolo_train_progress*>(user) = *progress;
    return 0;
  };
  for (const uint64_t terms : {1, 2}) {
    options.settings = settings;
    options.setting_count = terms == 1 ? 1 : 3;
    diabolo_model* model = nullptr;
    ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
    ASSERT_EQ(result.term_count, terms);
    double sum = 0;
    for (uint64_t i = 0; i < terms; ++i) {
      EXPECT_STREQ(result.terms[i].name, i == 0 ? "reconstruction" : "penalty");
      EXPECT_GT(result.terms[i].value, 0);
      EXPECT_EQ(seen.terms[i].value, result.terms[i].value);  // the last call follows the epoch
      sum += result.terms[i].value;
    }
    EXPECT_NEAR(sum, result.loss, 1e-6 * result.loss);
    EXPECT_EQ(seen.term_count, terms);
  }
}

TEST_F(Train, AContextOfBf16TrainsInBf16) {
  auto options = sized<diabolo_context_options>();
  options.device = "cpu";
  options.threads = 1;
  options.precision = DIABOLO_PRECISION_BF16;
  diabolo_context* rounded = nullptr;
  const diabolo_status created = diabolo_context_create(&options, &rounded);
  if (created == DIABOLO_USAGE &&
      std::string(diabolo_last_error()).ends_with("has no bf16 products (use f32)"))
    GTEST_SKIP() << diabolo_last_error();
  ASSERT_EQ(created, DIABOLO_OK) << diabolo_last_error();
  const diabolo_rows rows = view(values);
  const diabolo_train_options training = quick_training();
  diabolo_model *exact = nullptr, *low = nullptr;
  auto of_exact = sized<diabolo_train_result>(), of_low = sized<diabolo_train_result>();
  ASSERT_EQ(diabolo_train(context, &rows, &training, &exact, &of_exact), DIABOLO_OK);
  ASSERT_EQ(diabolo_train(rounded, &rows, &training, &low, &of_low), DIABOLO_OK);
  EXPECT_NE(of_low.loss, of_exact.loss);
  EXPECT_NEAR(of_low.loss, of_exact.loss, 0.05 * of_exact.loss);
  EXPECT_EQ(diabolo_model_destroy(exact), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_destroy(low), DIABOLO_OK);
  EXPECT_EQ(diabolo_context_destroy(rounded), DIABOLO_OK);
}

TEST_F(Train, AFileIsTheSameAsItsRows) {
  const Folder folder;
  write_npy(folder.file("rows.npy"), values, kFeatures);
  const diabolo_train_options options = quick_training();
  diabolo_model *from_rows = nullptr, *from_file = nullptr;
  ASSERT_EQ(train(options, &from_rows), DIABOLO_OK) << diabolo_last_error();
  ASSERT_EQ(
      diabolo_train_file(context, folder.file("rows.npy").c_str(), &options, &from_file, nullptr),
      DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(codes_of(from_rows), codes_of(from_file));
  EXPECT_EQ(diabolo_model_destroy(from_rows), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_destroy(from_file), DIABOLO_OK);
}

// Neither config.toml nor the model could keep it.
TEST_F(Train, AFileNameThatIsNotUtf8IsRefused) {
  const Folder folder;
  const std::string path = folder.file("rows\xff.npy");
  write_npy(path, values, kFeatures);
  const diabolo_train_options options = quick_training();
  diabolo_model* model = nullptr;
  EXPECT_EQ(diabolo_train_file(context, path.c_str(), &options, &model, nullptr), DIABOLO_USAGE);
  EXPECT_NE(std::strstr(diabolo_last_error(), "is not UTF-8"), nullptr) << diabolo_last_error();
}

TEST_F(Train, ValidationRowsAreMeasured) {
  diabolo_train_options options = quick_training();
  const std::vector<float> other = wave_rows(40);
  const diabolo_rows validation = view(other);
  options.validation = &validation;
  diabolo_model* model = nullptr;
  ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(result.epochs, 3u);
  EXPECT_GT(result.loss, 0);
  EXPECT_GT(result.validation_loss, 0);
  EXPECT_EQ(result.is_cancelled, 0);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

TEST_F(Train, ProgressCountsUp) {
  struct Seen {
    uint64_t calls = 0, last_samples = 0;
    bool is_monotonic = true, has_size = true;
  } seen;
  diabolo_train_options options = quick_training();
  options.progress = [](const diabolo_train_progress* now, void* user) {
    auto& s = *static_cast<Seen*>(user);
    ++s.calls;
    s.is_monotonic = s.is_monotonic && now->samples >= s.last_samples && now->epochs == 3;
    s.has_size = s.has_size && now->struct_size == sizeof *now;
    s.last_samples = now->samples;
    return 0;
  };
  options.progress_user = &seen;
  diabolo_model* model = nullptr;
  ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  EXPECT_GE(seen.calls, 3u);
  EXPECT_TRUE(seen.is_monotonic);
  EXPECT_TRUE(seen.has_size);
  EXPECT_EQ(seen.last_samples, 3 * kRows);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

// Stops a training of 1000 epochs at once.
diabolo_train_options stopped_training() {
  diabolo_train_options options = quick_training();
  options.epochs = 1000;
  options.progress = [](const diabolo_train_progress*, void*) { return 1; };
  return options;
}

TEST_F(Train, ACallbackCanCancel) {
  diabolo_model* model = nullptr;
  EXPECT_EQ(train(stopped_training(), &model), DIABOLO_INTERRUPTED);
  EXPECT_NE(std::strstr(diabolo_last_error(), "stopped by its callback"), nullptr);
  EXPECT_EQ(result.is_cancelled, 1);
  EXPECT_LT(result.epochs, 1000u);
  ASSERT_NE(model, nullptr);
  auto info = sized<diabolo_model_info>();
  ASSERT_EQ(diabolo_model_inspect(model, &info), DIABOLO_OK);
  EXPECT_TRUE(std::isnan(info.threshold));
  EXPECT_EQ(info.threshold_quantile, 0);
  EXPECT_EQ(codes_of(model).size(), kRows * kCodeSize);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

TEST_F(Train, ACancelledTrainingGoesOnToTheSameBits) {
  const Folder folder;
  const std::string run = folder.file("run");
  diabolo_train_options options = quick_training();
  diabolo_model *whole = nullptr, *part = nullptr, *resumed = nullptr;
  ASSERT_EQ(train(options, &whole), DIABOLO_OK) << diabolo_last_error();

  options.run_directory = run.c_str();
  options.progress = [](const diabolo_train_progress* now, void*) -> int32_t {
    return now->samples > kRows;
  };
  EXPECT_EQ(train(options, &part), DIABOLO_INTERRUPTED);
  EXPECT_TRUE(std::filesystem::exists(run + "/checkpoint.safetensors"));

  // The folder says what the training was: nothing has to be repeated but where it is.
  auto resume = sized<diabolo_train_options>();
  resume.run_directory = run.c_str();
  resume.run_use = DIABOLO_RUN_RESUME;
  resume.seed = 7;
  EXPECT_EQ(train(resume, &resumed), DIABOLO_MODEL);
  EXPECT_NE(std::strstr(diabolo_last_error(), "train.seed = 0, now 7"), nullptr)
      << diabolo_last_error();
  resume.seed = 0;
  ASSERT_EQ(train(resume, &resumed), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(codes_of(whole), codes_of(resumed));
  for (diabolo_model* model : {whole, part, resumed})
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

TEST_F(Train, ARunDirectoryIsALoadableModel) {
  const Folder folder;
  const std::string run = folder.file("run");
  diabolo_train_options options = quick_training();
  options.run_directory = run.c_str();
  diabolo_model *model = nullptr, *loaded = nullptr;
  ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  ASSERT_EQ(diabolo_model_load(context, run.c_str(), nullptr, &loaded), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(codes_of(model), codes_of(loaded));
  EXPECT_TRUE(std::filesystem::exists(run + "/config.toml"));

  EXPECT_EQ(train(options, &model), DIABOLO_USAGE) << "a folder that is not empty";
  EXPECT_EQ(model, nullptr);
  options.run_use = DIABOLO_RUN_OVERWRITE;
  EXPECT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_destroy(loaded), DIABOLO_OK);
}

TEST_F(Train, SettingsStandBeforeTheFileBeforeThePreset) {
  const Folder folder;
  std::ofstream(folder.file("c.toml")) << "[model.code]\nsize = 5\n[train]\nepochs = 1\n"
                                          "[model.encoder]\nhidden = [8]\n";
  const std::string config = folder.file("c.toml");
  const char* settings[] = {"model.code.size=4", "train.batch_size=50"};
  auto options = sized<diabolo_train_options>();
  options.preset = "deep";
  options.config_path = config.c_str();
  options.settings = settings;
  options.setting_count = 2;
  diabolo_model* model = nullptr;
  ASSERT_EQ(train(options, &model), DIABOLO_OK) << diabolo_last_error();
  auto info = sized<diabolo_model_info>();
  ASSERT_EQ(diabolo_model_inspect(model, &info), DIABOLO_OK);
  EXPECT_EQ(info.code_size, 4u);
  EXPECT_EQ(info.epochs, 1u);
  EXPECT_EQ(info.parameters, 12u * 8 + 8 + 8 * 4 + 4 + 4 * 8 + 8 + 8 * 12 + 12);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
}

}  // namespace
}  // namespace diabolo_test
