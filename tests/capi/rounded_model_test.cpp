// Models of early builds that rounded wide rows to f32.
#include <algorithm>
#include <fstream>
#include <utility>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using Bytes = std::vector<unsigned char>;
using RoundedModel = SmallModel;

Bytes saved(const diabolo_model* of) {
  uint64_t bytes = 0;
  EXPECT_EQ(diabolo_model_save_memory(of, nullptr, 0, &bytes), DIABOLO_OK);
  Bytes out(bytes);
  EXPECT_EQ(diabolo_model_save_memory(of, out.data(), out.size(), &bytes), DIABOLO_OK);
  return out;
}

// In the bytes of a model file of f64 rows that holds no doubles, as the first builds wrote it.
Bytes as_early_builds_wrote(Bytes bytes) {
  const std::pair<std::string, std::string> changes[] = {
      {R"(\"row\":{\"dtype\":\"f32\")", R"(\"row\":{\"dtype\":\"f64\")"},
      {R"("diabolo.hash":)", R"("without.hash":)"}};
  for (const auto& [from, to] : changes) {
    const auto at = std::search(bytes.begin(), bytes.end(), from.begin(), from.end());
    EXPECT_NE(at, bytes.end()) << from;
    if (at != bytes.end()) std::copy(to.begin(), to.end(), at);
  }
  return bytes;
}

// The same line, wherever such a model comes from.
TEST_F(RoundedModel, AModelOfRoundedRowsIsWarnedOf) {
  std::vector<std::string> lines;
  auto logging = sized<diabolo_context_options>();
  logging.device = "cpu";
  logging.log = [](diabolo_log_level, const char* line, void* user) {
    static_cast<std::vector<std::string>*>(user)->emplace_back(line);
  };
  logging.log_user = &lines;
  diabolo_context* other = nullptr;
  ASSERT_EQ(diabolo_context_create(&logging, &other), DIABOLO_OK);
  std::vector<float> values = wave_rows(kRows);
  for (float& value : values) value = 1e9f + 256 * value;
  const diabolo_rows rows = view(values);
  const diabolo_train_options options = quick_training();
  diabolo_model *trained = nullptr, *found = nullptr;
  ASSERT_EQ(diabolo_train(other, &rows, &options, &trained, nullptr), DIABOLO_OK);
  const Bytes early = as_early_builds_wrote(saved(trained));
  const Folder folder;
  const std::string path = folder.file("early");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(early.data()),
             static_cast<std::streamsize>(early.size()));
  auto load_options = sized<diabolo_load_options>();
  load_options.allow_unverified = 1;
  const auto expect_line = [&](diabolo_status status) {
    ASSERT_EQ(status, DIABOLO_OK) << diabolo_last_error();
    ASSERT_FALSE(lines.empty());
    EXPECT_NE(lines.back().find("rounded its rows to f32"), std::string::npos) << lines.back();
    lines.clear();
    diabolo_model_destroy(found);
  };
  lines.clear();
  expect_line(diabolo_model_load(other, path.c_str(), &load_options, &found));
  expect_line(diabolo_model_load_memory(other, early.data(), early.size(), &load_options, &found));
  diabolo_model_destroy(trained);
  diabolo_context_destroy(other);
}

}  // namespace
}  // namespace diabolo_test
