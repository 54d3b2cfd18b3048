// What a model carries beside its weights, and its way through memory.
#include <cmath>
#include <cstring>
#include <fstream>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using Bytes = std::vector<unsigned char>;

std::vector<std::string> twelve_names() {
  std::vector<std::string> names;
  for (uint64_t i = 0; i < kFeatures; ++i)
    names.push_back("sensor \"" + std::to_string(i) + "\" °C");
  return names;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  for (const std::string& text : texts) out.push_back(text.c_str());
  return out;
}

class Content : public SmallModel {
 protected:
  void SetUp() override { named = with_texts(); }
  void TearDown() override { EXPECT_EQ(diabolo_model_destroy(named), DIABOLO_OK); }

  // A copy of the model with names and metadata.
  diabolo_model* with_texts() {
    auto changes = sized<diabolo_model_changes>();
    changes.feature_names = names.data();
    changes.feature_name_count = names.size();
    changes.metadata = entries;
    changes.metadata_count = 2;
    return changed(model, changes);
  }

  static diabolo_model* changed(const diabolo_model* from, const diabolo_model_changes& changes) {
    diabolo_model* out = nullptr;
    EXPECT_EQ(diabolo_model_with(from, &changes, &out), DIABOLO_OK) << diabolo_last_error();
    return out;
  }

  static diabolo_model_info info_of(const diabolo_model* of) {
    auto info = sized<diabolo_model_info>();
    EXPECT_EQ(diabolo_model_inspect(of, &info), DIABOLO_OK) << diabolo_last_error();
    return info;
  }

  static std::string text(const diabolo_model* of, diabolo_text which) {
    const char* out = nullptr;
    EXPECT_EQ(diabolo_model_text(of, which, &out), DIABOLO_OK) << diabolo_last_error();
    return out;
  }

  static Bytes saved(const diabolo_model* of) {
    uint64_t bytes = 0;
    EXPECT_EQ(diabolo_model_save_memory(of, nullptr, 0, &bytes), DIABOLO_OK);
    Bytes out(bytes);
    EXPECT_EQ(diabolo_model_save_memory(of, out.data(), out.size(), &bytes), DIABOLO_OK)
        << diabolo_last_error();
    EXPECT_EQ(bytes, out.size());
    return out;
  }

  static diabolo_status load(const Bytes& bytes, diabolo_model** out) {
    return diabolo_model_load_memory(context, bytes.data(), bytes.size(), nullptr, out);
  }

  static void expect_texts(const diabolo_model* of);
  static std::vector<float> scores_of(const diabolo_model* of) {
    const std::vector<float> values = wave_rows(50);
    const diabolo_rows rows = view(values);
    std::vector<float> out(50);
    EXPECT_EQ(diabolo_score(of, &rows, out.data(), out.size()), DIABOLO_OK);
    return out;
  }

  static inline const std::vector<std::string> name_texts = twelve_names();
  static inline const std::vector<const char*> names = pointers(name_texts);
  static inline const diabolo_entry entries[2] = {{"site", "Jülich\nhall 3"}, {"line", "\"4\\"}};
  diabolo_model* named = nullptr;
};

void Content::expect_texts(const diabolo_model* of) {
  const diabolo_model_info info = info_of(of);
  ASSERT_EQ(info.feature_names, kFeatures);
  ASSERT_EQ(info.metadata_count, 2u);
  for (uint64_t i = 0; i < kFeatures; ++i) {
    const char* name = nullptr;
    ASSERT_EQ(diabolo_model_feature_name(of, i, &name), DIABOLO_OK);
    EXPECT_EQ(name, name_texts[i]);
  }
  diabolo_entry first{};
  ASSERT_EQ(diabolo_model_metadata_at(of, 0, &first), DIABOLO_OK);
  EXPECT_STREQ(first.key, "line");
  const char* value = nullptr;
  for (const diabolo_entry& entry : entries) {
    ASSERT_EQ(diabolo_model_metadata(of, entry.key, &value), DIABOLO_OK);
    EXPECT_STREQ(value, entry.value);
  }
}

TEST_F(Content, TextsComeBackFromCopyFileAndMemory) {
  expect_texts(named);
  const Folder folder;
  const std::string path = folder.file("model");
  ASSERT_EQ(diabolo_model_save(named, path.c_str()), DIABOLO_OK);
  diabolo_model *from_file = nullptr, *from_memory = nullptr;
  ASSERT_EQ(diabolo_model_load(context, path.c_str(), nullptr, &from_file), DIABOLO_OK)
      << diabolo_last_error();
  ASSERT_EQ(load(saved(named), &from_memory), DIABOLO_OK) << diabolo_last_error();
  for (diabolo_model* of : {from_file, from_memory}) {
    expect_texts(of);
    EXPECT_EQ(scores_of(of), scores_of(model));
    EXPECT_EQ(diabolo_model_destroy(of), DIABOLO_OK);
  }
}

TEST_F(Content, AModelWithoutTextsHasNone) {
  EXPECT_EQ(info_of(model).feature_names, 0u);
  EXPECT_EQ(info_of(model).metadata_count, 0u);
  const char* out = "not asked";
  EXPECT_EQ(diabolo_model_feature_name(model, 0, &out), DIABOLO_OK);
  EXPECT_EQ(out, nullptr);
  out = "not asked";
  EXPECT_EQ(diabolo_model_metadata(model, "site", &out), DIABOLO_OK);
  EXPECT_EQ(out, nullptr);
}

TEST_F(Content, ATrainingKeepsTextsAlsoWhenItIsResumed) {
  const Folder folder;
  const std::string run = folder.file("run");
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  diabolo_train_options options = quick_training();
  options.run_directory = run.c_str();
  options.feature_names = names.data();
  options.feature_name_count = names.size();
  options.metadata = entries;
  options.metadata_count = 2;
  options.progress = [](const diabolo_train_progress* now, void*) -> int32_t {
    return now->samples > kRows;
  };
  diabolo_model *part = nullptr, *whole = nullptr;
  EXPECT_EQ(diabolo_train(context, &rows, &options, &part, nullptr), DIABOLO_INTERRUPTED);
  expect_texts(part);
  auto resume = sized<diabolo_train_options>();
  resume.run_directory = run.c_str();
  resume.run_use = DIABOLO_RUN_RESUME;
  ASSERT_EQ(diabolo_train(context, &rows, &resume, &whole, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  expect_texts(whole);
  EXPECT_EQ(diabolo_model_destroy(part), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_destroy(whole), DIABOLO_OK);
}

TEST_F(Content, MetadataIsAddedReplacedAndRemoved) {
  const diabolo_entry edits[] = {{"site", nullptr}, {"line", "5"}, {"operator", ""}};
  auto changes = sized<diabolo_model_changes>();
  changes.metadata = edits;
  changes.metadata_count = 3;
  diabolo_model* edited = changed(named, changes);
  EXPECT_EQ(info_of(edited).metadata_count, 2u);
  EXPECT_EQ(info_of(edited).feature_names, kFeatures) << "names stay";
  const char* value = nullptr;
  EXPECT_EQ(diabolo_model_metadata(edited, "line", &value), DIABOLO_OK);
  EXPECT_STREQ(value, "5");
  EXPECT_EQ(diabolo_model_metadata(edited, "operator", &value), DIABOLO_OK);
  EXPECT_STREQ(value, "");
  EXPECT_EQ(diabolo_model_destroy(edited), DIABOLO_OK);
  expect_texts(named);
}

TEST_F(Content, TextsThatCannotBeKeptAreRefused) {
  const auto refused = [&](const char* part, const auto& change) {
    auto changes = sized<diabolo_model_changes>();
    change(changes);
    diabolo_model* out = model;
    EXPECT_EQ(diabolo_model_with(model, &changes, &out), DIABOLO_USAGE) << part;
    EXPECT_EQ(out, nullptr);
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  };
  using Changes = diabolo_model_changes;
  refused("expected one for each of 12 features, found 3", [&](Changes& c) {
    c.feature_names = names.data();
    c.feature_name_count = 3;
  });
  refused("feature_names", [](Changes& c) { c.feature_name_count = 12; });
  refused("metadata", [](Changes& c) { c.metadata_count = 1; });
  std::vector<const char*> bad = names;
  const auto with_bad_names = [&](Changes& c) {
    c.feature_names = bad.data();
    c.feature_name_count = bad.size();
  };
  bad[3] = nullptr;
  refused("feature name", with_bad_names);
  bad[3] = "\xff\xfe";
  refused("feature name 3: expected UTF-8", with_bad_names);
  bad[3] = "two\nlines";
  refused("without control characters", with_bad_names);
  const std::string long_text(2 << 20, 'x');
  const std::pair<diabolo_entry, const char*> cases[] = {
      {{nullptr, "x"}, "metadata key"},
      {{"", "x"}, "metadata key"},
      {{"diabolo.model", "{}"}, "does not begin with diabolo"},
      {{"a\tb", "x"}, "metadata key"},
      {{"a", "\xc3"}, "UTF-8"},
      {{"a", long_text.c_str()}, "at most 1 MiB"},
      {{long_text.c_str(), "x"}, "1 to 1000 bytes"}};
  for (const auto& [entry, part] : cases)
    refused(part, [&](Changes& c) {
      c.metadata = &entry;
      c.metadata_count = 1;
    });
  for (const double threshold : {-1.0, std::nan(""), HUGE_VAL})
    refused("threshold", [&](Changes& c) { c.threshold = threshold; });
}

// The most that is allowed, and all of it to be escaped.
TEST_F(Content, TheLargestTextsFitAFile) {
  const std::string name(4 * (1 << 20) / kFeatures - 1, '"');
  const std::vector<const char*> large(kFeatures, name.c_str());
  const std::string value((1 << 20) - 1, '\1');
  const diabolo_entry entry = {"k", value.c_str()};
  auto changes = sized<diabolo_model_changes>();
  changes.feature_names = large.data();
  changes.feature_name_count = large.size();
  changes.metadata = &entry;
  changes.metadata_count = 1;
  diabolo_model *big = changed(model, changes), *loaded = nullptr;
  ASSERT_EQ(load(saved(big), &loaded), DIABOLO_OK) << diabolo_last_error();
  const char* found = nullptr;
  ASSERT_EQ(diabolo_model_metadata(loaded, "k", &found), DIABOLO_OK);
  EXPECT_EQ(found, value);
  EXPECT_EQ(diabolo_model_destroy(big), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_destroy(loaded), DIABOLO_OK);
}

TEST_F(Content, AChosenThresholdIsKept) {
  auto changes = sized<diabolo_model_changes>();
  changes.threshold = 0.125;
  diabolo_model *own = changed(model, changes), *loaded = nullptr;
  ASSERT_EQ(load(saved(own), &loaded), DIABOLO_OK) << diabolo_last_error();
  for (diabolo_model* of : {own, loaded}) {
    EXPECT_EQ(info_of(of).threshold, 0.125);
    EXPECT_EQ(info_of(of).threshold_quantile, 0);
    EXPECT_EQ(info_of(of).threshold_rows, 0u);
    EXPECT_EQ(scores_of(of), scores_of(model));
    EXPECT_EQ(diabolo_model_destroy(of), DIABOLO_OK);
  }
  EXPECT_EQ(info_of(model).threshold_quantile, 0.95) << "the model itself is as it was";
}

// Both use one memory on the device: whichever goes first.
TEST_F(Content, ACopyOutlivesItsModel) {
  diabolo_model* first = train_small(context);
  diabolo_model* copy = changed(first, sized<diabolo_model_changes>());
  const std::vector<float> expected = scores_of(first);
  EXPECT_EQ(diabolo_model_destroy(first), DIABOLO_OK);
  EXPECT_EQ(scores_of(copy), expected);
  EXPECT_EQ(diabolo_model_destroy(copy), DIABOLO_OK);
}

TEST_F(Content, TextsOfTheModel) {
  EXPECT_EQ(text(model, DIABOLO_TEXT_VERSION), diabolo_version());
  EXPECT_EQ(text(model, DIABOLO_TEXT_DATA), "rows");
  EXPECT_EQ(text(model, DIABOLO_TEXT_SCALE), "standard");
  EXPECT_NE(text(model, DIABOLO_TEXT_CONFIG).find("hidden = [16]"), std::string::npos);
  const std::string hash = text(model, DIABOLO_TEXT_HASH);
  EXPECT_EQ(hash.size(), 32u);
  EXPECT_NE(hash, text(named, DIABOLO_TEXT_HASH));
  diabolo_model* loaded = nullptr;
  ASSERT_EQ(load(saved(model), &loaded), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(hash, text(loaded, DIABOLO_TEXT_HASH));
  EXPECT_EQ(diabolo_model_destroy(loaded), DIABOLO_OK);
  const char* out = nullptr;
  for (const diabolo_text which : {0, 6, -1})
    EXPECT_EQ(diabolo_model_text(model, which, &out), DIABOLO_USAGE);
}

TEST_F(Content, TheConfigurationTrainsTheSameModelAgain) {
  const Folder folder;
  const std::string path = folder.file("config.toml");
  std::ofstream(path) << text(model, DIABOLO_TEXT_CONFIG);
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  auto options = sized<diabolo_train_options>();
  options.config_path = path.c_str();
  diabolo_model* again = nullptr;
  ASSERT_EQ(diabolo_train(context, &rows, &options, &again, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(scores_of(again), scores_of(model));
  EXPECT_EQ(diabolo_model_destroy(again), DIABOLO_OK);
}

TEST_F(Content, ScalingIsThatOfTheTrainingRows) {
  double shift[kFeatures], scale[kFeatures];
  ASSERT_EQ(diabolo_model_scaling(model, shift, scale, kFeatures), DIABOLO_OK);
  const std::vector<float> values = wave_rows(kRows);
  double sum = 0, squares = 0;
  for (uint64_t row = 0; row < kRows; ++row) sum += values[row * kFeatures + 2];
  const double mean = sum / kRows;
  for (uint64_t row = 0; row < kRows; ++row)
    squares += std::pow(values[row * kFeatures + 2] - mean, 2);
  EXPECT_NEAR(shift[2], mean, 1e-6);
  EXPECT_NEAR(scale[2], 1 / std::sqrt(squares / kRows), 1e-5);
  EXPECT_EQ(diabolo_model_scaling(model, nullptr, scale, kFeatures), DIABOLO_OK);
  EXPECT_EQ(diabolo_model_scaling(model, shift, nullptr, kFeatures - 1), DIABOLO_USAGE);
}

TEST_F(Content, MemoryHasTheBytesOfTheFile) {
  const Folder folder;
  const std::string path = folder.file("model");
  ASSERT_EQ(diabolo_model_save(named, path.c_str()), DIABOLO_OK);
  std::ifstream file(path, std::ios::binary);
  const Bytes content((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(saved(named), content);

  Bytes small(content.size() - 1);
  uint64_t bytes = 0;
  EXPECT_EQ(diabolo_model_save_memory(named, small.data(), small.size(), &bytes), DIABOLO_USAGE);
  EXPECT_EQ(bytes, content.size());
  EXPECT_EQ(diabolo_model_save_memory(named, nullptr, 1 << 20, &bytes), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_model_save_memory(named, small.data(), small.size(), nullptr), DIABOLO_USAGE);
}

// Cut anywhere, and with any byte changed: refused, and nothing worse.
TEST_F(Content, HostileBytesAreRefused) {
  const Bytes good = saved(named);
  diabolo_model* out = nullptr;
  EXPECT_EQ(diabolo_model_load_memory(context, nullptr, 0, nullptr, &out), DIABOLO_MODEL);
  EXPECT_EQ(diabolo_model_load_memory(context, nullptr, 8, nullptr, &out), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_model_load_memory(context, good.data(), ~uint64_t{0}, nullptr, &out),
            DIABOLO_USAGE);
  for (size_t size = 0; size < good.size(); size += 1 + size / 16) {
    const Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(load(cut, &out), DIABOLO_MODEL) << size;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(load(longer, &out), DIABOLO_MODEL);
  for (size_t at = 0; at < good.size(); at += 1 + at / 64) {
    Bytes changed = good;
    changed[at] ^= static_cast<unsigned char>(1u << (at % 8));
    EXPECT_EQ(load(changed, &out), DIABOLO_MODEL) << at;
    EXPECT_EQ(out, nullptr);
  }
}

}  // namespace
}  // namespace diabolo_test
