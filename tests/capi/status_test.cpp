// Statuses: each that the library can return is produced here by what it is documented for. (143 is
// the command's alone; 141 is in file_test.cpp.)
#include <cstring>
#include <stdexcept>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using Statuses = SmallModel;

diabolo_status train_with(diabolo_context* context, const char* setting,
                          diabolo_train_callback progress = nullptr) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  auto options = sized<diabolo_train_options>();
  options.settings = &setting;
  options.setting_count = 1;
  options.progress = progress;
  diabolo_model* model = nullptr;
  const diabolo_status status = diabolo_train(context, &rows, &options, &model, nullptr);
  EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
  return status;
}

TEST_F(Statuses, Failure) {
  const auto throws = [](const diabolo_train_progress*, void*) -> int32_t {
    throw std::runtime_error("a callback that threw");
  };
  EXPECT_EQ(train_with(context, kHidden, throws), DIABOLO_FAILURE);
  EXPECT_NE(std::strstr(diabolo_last_error(), "a callback that threw"), nullptr);
}

TEST_F(Statuses, Usage) {
  EXPECT_EQ(train_with(context, "model.code.size=0"), DIABOLO_USAGE);
}

TEST_F(Statuses, Data) {
  const diabolo_rows none = diabolo_rows_f32(nullptr, 0, kFeatures);
  diabolo_model* made = nullptr;
  EXPECT_EQ(diabolo_train(context, &none, nullptr, &made, nullptr), DIABOLO_DATA);
}

TEST_F(Statuses, Model) {
  diabolo_model* made = nullptr;
  EXPECT_EQ(diabolo_model_load(context, "/no/such/model", nullptr, &made), DIABOLO_MODEL);
}

TEST_F(Statuses, Resource) {
  // 52 terabytes, if they were there: refused before any of them is looked at.
  const std::vector<float> values = wave_rows(1);
  const diabolo_rows rows = diabolo_rows_f32(values.data(), uint64_t{1} << 40, kFeatures);
  diabolo_model* made = nullptr;
  EXPECT_EQ(diabolo_train(context, &rows, nullptr, &made, nullptr), DIABOLO_RESOURCE)
      << diabolo_last_error();
}

TEST_F(Statuses, Device) {
  auto options = sized<diabolo_context_options>();
  options.device = "cuda:4096";
  diabolo_context* made = nullptr;
  EXPECT_EQ(diabolo_context_create(&options, &made), DIABOLO_DEVICE);
}

TEST_F(Statuses, Diverged) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  const char* settings[] = {kHidden, "optimizer.kind=sgd", "optimizer.momentum=0"};
  auto options = sized<diabolo_train_options>();
  options.settings = settings;
  options.setting_count = 3;
  options.learning_rate = 1000;
  diabolo_model* made = nullptr;
  EXPECT_EQ(diabolo_train(context, &rows, &options, &made, nullptr), DIABOLO_DIVERGED)
      << diabolo_last_error();
  EXPECT_EQ(made, nullptr);
}

TEST_F(Statuses, Interrupted) {
  EXPECT_EQ(train_with(context, kHidden, [](const auto*, void*) { return int32_t{1}; }),
            DIABOLO_INTERRUPTED);
}

TEST(StatusText, EveryStatusHasOne) {
  for (const diabolo_status status :
       {DIABOLO_OK, DIABOLO_FAILURE, DIABOLO_USAGE, DIABOLO_DATA, DIABOLO_MODEL, DIABOLO_RESOURCE,
        DIABOLO_DEVICE, DIABOLO_DIVERGED, DIABOLO_BUSY, DIABOLO_STALE, DIABOLO_INTERRUPTED,
        DIABOLO_CLOSED_PIPE, DIABOLO_TERMINATED}) {
    EXPECT_STRNE(diabolo_status_text(status), "unknown status") << status;
  }
  EXPECT_STREQ(diabolo_status_text(10), "unknown status");
  EXPECT_STREQ(diabolo_status_text(-1), "unknown status");
}

TEST(LastError, BelongsToItsThread) {
  EXPECT_EQ(diabolo_model_save(nullptr, "x"), DIABOLO_USAGE);
  std::string elsewhere = "not asked";
  std::thread([&] { elsewhere = diabolo_last_error(); }).join();
  EXPECT_EQ(elsewhere, "");
  EXPECT_NE(std::strstr(diabolo_last_error(), "diabolo_model_save"), nullptr);
}

TEST(LastError, ASuccessLeavesIt) {
  EXPECT_EQ(diabolo_model_save(nullptr, "x"), DIABOLO_USAGE);
  const std::string before = diabolo_last_error();
  EXPECT_EQ(diabolo_model_destroy(nullptr), DIABOLO_OK);
  EXPECT_EQ(before, diabolo_last_error());
}

}  // namespace
}  // namespace diabolo_test
