// Evaluation through the library.
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

class Evaluate : public SmallModel {
 protected:
  diabolo_status evaluate(const diabolo_evaluate_options& options) {
    out = sized<diabolo_evaluation>();
    return diabolo_evaluate(model, &rows, &options, &out);
  }
  void expect_data(const char* part, const diabolo_evaluate_options& options) {
    EXPECT_EQ(evaluate(options), DIABOLO_DATA);
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  }

  std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  diabolo_evaluation out{};
};

TEST_F(Evaluate, MeanErrorIsTheMeanScore) {
  ASSERT_EQ(evaluate(sized<diabolo_evaluate_options>()), DIABOLO_OK) << diabolo_last_error();
  std::vector<float> scores(kRows);
  ASSERT_EQ(diabolo_score(model, &rows, scores.data(), kRows), DIABOLO_OK);
  EXPECT_EQ(out.rows, kRows);
  EXPECT_NEAR(out.mse, std::accumulate(scores.begin(), scores.end(), 0.0) / kRows, 1e-6);
  for (const double absent :
       {out.psnr_db, out.pca_mse, out.auroc, out.average_precision, out.false_alarm_rate})
    EXPECT_TRUE(std::isnan(absent));
}

TEST_F(Evaluate, LabelsAndPca) {
  std::vector<uint8_t> labels(kRows);
  for (uint64_t row = 0; row < kRows; row += 30) {
    labels[row] = 2;
    values[row * kFeatures + 3] += 50;
  }
  auto options = sized<diabolo_evaluate_options>();
  options.labels = labels.data();
  options.label_count = kRows;
  const std::vector<float> plain = wave_rows(kRows);
  const diabolo_rows pca_rows = view(plain);
  options.pca_from = &pca_rows;
  std::string report;
  options.report = [](const char* text, void* user) { *static_cast<std::string*>(user) = text; };
  options.report_user = &report;
  ASSERT_EQ(evaluate(options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(out.auroc, 1);
  EXPECT_NEAR(out.average_precision, 1, 1e-12);
  EXPECT_LT(out.false_alarm_rate, 0.1);
  EXPECT_GT(out.pca_mse, 0);
  for (const char* part : {"\"rows\":300", "\"reconstruction\":{", "\"pca\":{", "\"auroc\":1.0"})
    EXPECT_NE(report.find(part), std::string::npos) << part << " in " << report;
}

// Files of rows and labels, and the numbers that the same in memory give.
class EvaluateFile : public Evaluate {
 protected:
  void SetUp() override {
    for (uint64_t row = 0; row < kRows; row += 30) {
      labels[row] = 1;
      values[row * kFeatures + 3] += 50;
    }
    write("rows.raw", values);
    write("plain.raw", plain);
    write("labels.npy", npy_of(labels));
  }

  template <class Values>
  void write(const char* name, const Values& content) {
    std::ofstream file(folder.file(name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(content.data()),
               static_cast<std::streamsize>(content.size() * sizeof content[0]));
  }
  static std::string npy_of(const std::vector<uint8_t>& bytes) {
    std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" +
                         std::to_string(bytes.size()) + ",), }";
    header.resize(117, ' ');
    return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" +
           std::string(bytes.begin(), bytes.end());
  }
  diabolo_status evaluate_file(const diabolo_evaluate_options& options) {
    out = sized<diabolo_evaluation>();
    return diabolo_evaluate_file(model, path.c_str(), &options, &out);
  }
  void expect_file(diabolo_status status, const char* part,
                   const diabolo_evaluate_options& options) {
    EXPECT_EQ(evaluate_file(options), status);
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  }

  const Folder folder;
  const std::vector<float> plain = wave_rows(kRows);
  const diabolo_rows pca_rows = view(plain);
  std::vector<uint8_t> labels = std::vector<uint8_t>(kRows);
  std::string path = folder.file("rows.raw");
  const std::string labels_path = folder.file("labels.npy"), pca_path = folder.file("plain.raw");
};

TEST_F(EvaluateFile, GivesTheNumbersThatMemoryGives) {
  auto options = sized<diabolo_evaluate_options>();
  options.labels = labels.data();
  options.label_count = kRows;
  options.pca_from = &pca_rows;
  ASSERT_EQ(evaluate(options), DIABOLO_OK) << diabolo_last_error();
  const diabolo_evaluation memory = out;
  options = sized<diabolo_evaluate_options>();
  options.labels_path = labels_path.c_str();
  options.pca_path = pca_path.c_str();
  const auto expect_same = [&](diabolo_status status) {
    ASSERT_EQ(status, DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(out.rows, kRows);
    EXPECT_EQ(out.mse, memory.mse);
    EXPECT_EQ(out.pca_mse, memory.pca_mse);
    EXPECT_EQ(out.auroc, memory.auroc);
    EXPECT_EQ(out.average_precision, memory.average_precision);
    EXPECT_EQ(out.false_alarm_rate, memory.false_alarm_rate);
  };
  expect_same(evaluate_file(options));
  expect_same(evaluate(options));
  ASSERT_EQ(evaluate_file(sized<diabolo_evaluate_options>()), DIABOLO_OK);
  EXPECT_TRUE(std::isnan(out.pca_mse) && std::isnan(out.auroc));
}

TEST_F(EvaluateFile, WhatIsNotThereOrDoesNotFitIsRefused) {
  auto options = sized<diabolo_evaluate_options>();
  options.labels = labels.data();
  options.labels_path = labels_path.c_str();
  expect_file(DIABOLO_USAGE, "labels or labels_path, found both", options);
  options = sized<diabolo_evaluate_options>();
  options.pca_from = &pca_rows;
  options.pca_path = pca_path.c_str();
  expect_file(DIABOLO_USAGE, "pca_from or pca_path, found both", options);
  options = sized<diabolo_evaluate_options>();
  for (const char* nowhere : {"", "-"}) {
    options.labels_path = nowhere;
    expect_file(DIABOLO_USAGE, "labels_path", options);
    options.labels_path = nullptr;
    options.pca_path = nowhere;
    expect_file(DIABOLO_USAGE, "pca_path", options);
    options.pca_path = nullptr;
  }
  options.labels_path = "/no/such.npy";
  expect_file(DIABOLO_DATA, "/no/such.npy", options);
  options = sized<diabolo_evaluate_options>();
  options.input_rank = 5;
  expect_file(DIABOLO_USAGE, "evaluate options.input_rank", options);
  options.input_rank = 1;
  options.input_shape[0] = kFeatures / 2;
  expect_file(DIABOLO_DATA, "expected rows f32[*,12]", options);
  options = sized<diabolo_evaluate_options>();
  options.input_format = "docx";
  expect_file(DIABOLO_USAGE, "docx", options);
  options.input_format = nullptr;
  path = "-";
  expect_file(DIABOLO_USAGE, "input", options);
  path = "/no/such.raw";
  expect_file(DIABOLO_DATA, "/no/such.raw", options);
  EXPECT_EQ(diabolo_evaluate_file(model, nullptr, nullptr, nullptr), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_evaluate_file(nullptr, pca_path.c_str(), nullptr, nullptr), DIABOLO_USAGE);
}

TEST_F(EvaluateFile, LabelsComeFromOnePlace) {
  auto options = sized<diabolo_evaluate_options>();
  options.input_label_column = "kind";
  options.labels = labels.data();
  options.label_count = kRows;
  expect_file(DIABOLO_USAGE, "labels or input_label_column, found both", options);
  options.labels = nullptr;
  options.labels_path = labels_path.c_str();
  expect_file(DIABOLO_USAGE, "labels_path or input_label_column, found both", options);
}

// They would be passed over in silence.
TEST_F(EvaluateFile, RowsInMemoryHaveNoFieldsOfFiles) {
  using Options = diabolo_evaluate_options;
  const std::function<void(Options&)> fields[] = {
      [](Options& o) { o.input_format = "csv"; },  [](Options& o) { o.input_dtype = DIABOLO_F32; },
      [](Options& o) { o.input_rank = 1; },        [](Options& o) { o.input_label_column = "a"; },
      [](Options& o) { o.input_id_column = "a"; }, [](Options& o) { o.input_drop_columns = "a"; },
      [](Options& o) { o.input_header = "yes"; },  [](Options& o) { o.input_separator = "tab"; },
  };
  for (const auto& set : fields) {
    auto options = sized<diabolo_evaluate_options>();
    set(options);
    EXPECT_EQ(evaluate(options), DIABOLO_USAGE);
    EXPECT_NE(std::strstr(diabolo_last_error(), "is for files"), nullptr) << diabolo_last_error();
  }
  auto options = sized<diabolo_evaluate_options>();
  options.pca_path = pca_path.c_str();  // is one
  options.input_format = "raw";
  EXPECT_EQ(evaluate(options), DIABOLO_OK) << diabolo_last_error();
}

TEST_F(Evaluate, ProgressStopsItBeforeTheFirstRows) {
  auto options = sized<diabolo_evaluate_options>();
  options.progress = [](const diabolo_file_progress* now, void*) -> int32_t {
    return now->struct_size == sizeof *now && now->total_rows == kRows && now->rows == 0;
  };
  EXPECT_EQ(evaluate(options), DIABOLO_INTERRUPTED);
  EXPECT_NE(std::strstr(diabolo_last_error(), "stopped by its callback"), nullptr);
}

// The rows are gone through more than once: a rate is not that of an earlier pass.
TEST_F(Evaluate, TheRateIsOfThePassUnderWay) {
  struct Seen {
    uint64_t last = 0, falls = 0;
    bool starts_anew = true;
  } seen;
  const std::vector<float> many = wave_rows(10 * kRows);
  const diabolo_rows pca_rows = view(many);
  auto options = sized<diabolo_evaluate_options>();
  options.pca_from = &pca_rows;
  options.progress_user = &seen;
  options.progress = [](const diabolo_file_progress* now, void* user) -> int32_t {
    auto& self = *static_cast<Seen*>(user);
    if (now->rows < self.last) {
      ++self.falls;
      self.starts_anew = self.starts_anew && now->rows_per_s == 0;
    }
    self.last = now->rows;
    return 0;
  };
  ASSERT_EQ(evaluate(options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_GT(seen.falls, 0u);
  EXPECT_TRUE(seen.starts_anew);
}

TEST_F(Evaluate, WhatDoesNotFitIsBadData) {
  std::vector<uint8_t> labels(kRows);
  auto options = sized<diabolo_evaluate_options>();
  options.labels = labels.data();
  options.label_count = kRows;
  expect_data("labels", options);  // of one kind
  labels[0] = 1;
  options.label_count = kRows - 1;
  expect_data("labels", options);
  options = sized<diabolo_evaluate_options>();
  const diabolo_rows narrow = diabolo_rows_f32(values.data(), 10, kFeatures - 1);
  options.pca_from = &narrow;
  expect_data("pca_from", options);
  options.pca_from = nullptr;
  values[5] = std::nanf("");
  expect_data("row 0, column 5 is NaN", options);
  options.on_bad_value = DIABOLO_BAD_VALUE_SKIP;
  EXPECT_EQ(evaluate(options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(out.rows, kRows - 1);
  options.on_bad_value = 5;
  EXPECT_EQ(evaluate(options), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_evaluate(nullptr, &rows, nullptr, nullptr), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_evaluate(model, nullptr, nullptr, nullptr), DIABOLO_USAGE);
}

TEST_F(Evaluate, ARowWhoseScoreIsInfiniteIsInNoMeanAndFailsNothing) {
  ASSERT_EQ(evaluate(sized<diabolo_evaluate_options>()), DIABOLO_OK);
  values[5 * kFeatures + 2] = 1e30f;
  const uint64_t before = out.rows;
  ASSERT_EQ(evaluate(sized<diabolo_evaluate_options>()), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(out.rows, before);
  EXPECT_TRUE(std::isfinite(out.mse));
}

}  // namespace
}  // namespace diabolo_test
