// Every function with every bad argument: an error that says so, and nothing worse.
#include <cstring>
#include <functional>
#include <limits>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kRoom = 4 * kFeatures;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

class BadArguments : public SmallModel {
 protected:
  // The call fails with this status, and the error text names the function and contains `part`.
  static void expect(diabolo_status wanted, const char* part, diabolo_status found) {
    EXPECT_EQ(found, wanted) << diabolo_last_error();
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr)
        << "'" << diabolo_last_error() << "' does not contain '" << part << "'";
    EXPECT_EQ(std::strncmp(diabolo_last_error(), "diabolo_", 8), 0) << diabolo_last_error();
    EXPECT_EQ(std::strchr(diabolo_last_error(), '\n'), nullptr) << diabolo_last_error();
  }

  // A call that takes rows, with each way in which rows can be bad.
  static void try_bad_rows(const std::function<diabolo_status(const diabolo_rows*)>& call);
  // A call that takes a model, with what is no model.
  static void try_bad_models(const std::function<diabolo_status(const diabolo_model*)>& call);
  static void try_bad_contexts(const std::function<diabolo_status(const diabolo_context*)>& call);
  // A call that takes a struct, with wrong sizes of it.
  template <class Struct>
  static void try_bad_sizes(Struct good, const std::function<diabolo_status(Struct*)>& call);

  static inline const std::vector<float> values = wave_rows(4);
  float out[4 * kFeatures];
  uint32_t out_index[4 * kFeatures];
};

void BadArguments::try_bad_rows(const std::function<diabolo_status(const diabolo_rows*)>& call) {
  const auto with = [&](const char* part, const auto& change) {
    diabolo_rows rows = view(values);
    change(rows);
    expect(DIABOLO_USAGE, part, call(&rows));
  };
  expect(DIABOLO_USAGE, "rows: expected an address, found null", call(nullptr));
  with("rows.struct_size", [](diabolo_rows& r) { r.struct_size = 0; });
  with("rows.struct_size", [](diabolo_rows& r) { r.struct_size = kHuge; });
  with("rows.data", [](diabolo_rows& r) { r.data = nullptr; });
  with("rows.dtype", [](diabolo_rows& r) { r.dtype = 0; });
  with("rows.dtype", [](diabolo_rows& r) { r.dtype = 14; });
  with("rows.dtype", [](diabolo_rows& r) { r.dtype = std::numeric_limits<int32_t>::min(); });
  with("rows.rank", [](diabolo_rows& r) { r.rank = 0; });
  with("rows.rank", [](diabolo_rows& r) { r.rank = 5; });
  with("rows.rank", [](diabolo_rows& r) { r.rank = 0xffffffff; });
  with("rows", [](diabolo_rows& r) { r.shape[0] = 0; });
  with("rows", [](diabolo_rows& r) { r.shape[0] = kHuge; });
  with("rows", [](diabolo_rows& r) { r.shape[0] = uint64_t{1} << 62; });
  with("rows", [](diabolo_rows& r) {
    r.rank = 4;
    r.shape[0] = r.shape[1] = r.shape[2] = r.shape[3] = uint64_t{1} << 31;
  });
  with("rows", [](diabolo_rows& r) { r.count = kHuge; });
  with("rows", [](diabolo_rows& r) { r.count = kHuge / kFeatures / sizeof(float) + 1; });
}

void BadArguments::try_bad_models(const std::function<diabolo_status(const diabolo_model*)>& call) {
  expect(DIABOLO_USAGE, "model: expected a handle, found null", call(nullptr));
  const auto* a_context = reinterpret_cast<const diabolo_model*>(context);
  expect(DIABOLO_USAGE, "no handle of a model", call(a_context));
  const auto* anything = reinterpret_cast<const diabolo_model*>(uintptr_t{0x1234});
  expect(DIABOLO_USAGE, "no handle of a model", call(anything));
  diabolo_model* gone = train_small(context);
  ASSERT_EQ(diabolo_model_destroy(gone), DIABOLO_OK);
  expect(DIABOLO_USAGE, "destroyed already?", call(gone));
}

void BadArguments::try_bad_contexts(
    const std::function<diabolo_status(const diabolo_context*)>& call) {
  expect(DIABOLO_USAGE, "context: expected a handle, found null", call(nullptr));
  const auto* a_model = reinterpret_cast<const diabolo_context*>(model);
  expect(DIABOLO_USAGE, "no handle of a context", call(a_model));
  diabolo_context* gone = cpu_context();
  ASSERT_EQ(diabolo_context_destroy(gone), DIABOLO_OK);
  expect(DIABOLO_USAGE, "destroyed already?", call(gone));
}

template <class Struct>
void BadArguments::try_bad_sizes(Struct good, const std::function<diabolo_status(Struct*)>& call) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{8}, uint64_t{4097}, kHuge}) {
    good.struct_size = size;
    expect(DIABOLO_USAGE, "struct_size: expected", call(&good));
  }
}

TEST_F(BadArguments, ContextCreate) {
  diabolo_context* made = nullptr;
  expect(DIABOLO_USAGE, "context", diabolo_context_create(nullptr, nullptr));
  const auto with = [&](diabolo_status status, const char* part, const auto& change) {
    auto options = sized<diabolo_context_options>();
    change(options);
    made = context;
    expect(status, part, diabolo_context_create(&options, &made));
    EXPECT_EQ(made, nullptr);
  };
  using Options = diabolo_context_options;
  for (const char* text : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"})
    with(DIABOLO_USAGE, "device: expected auto", [&](Options& o) { o.device = text; });
  with(DIABOLO_DEVICE, "", [](Options& o) { o.device = "cuda:4096"; });
  with(DIABOLO_USAGE, "precision", [](Options& o) { o.precision = 3; });
  with(DIABOLO_USAGE, "precision", [](Options& o) { o.precision = -1; });
  with(DIABOLO_USAGE, "precision tf32",
       [](Options& o) { o.device = "cpu", o.precision = DIABOLO_PRECISION_TF32; });
  with(DIABOLO_USAGE, "policy", [](Options& o) { o.policy = 2; });
  try_bad_sizes<Options>({}, [&](Options* o) { return diabolo_context_create(o, &made); });
}

TEST_F(BadArguments, ContextInfoAndDestroy) {
  auto info = sized<diabolo_device_info>();
  try_bad_contexts([&](const diabolo_context* c) { return diabolo_context_info(c, &info); });
  expect(DIABOLO_USAGE, "info", diabolo_context_info(context, nullptr));
  try_bad_sizes<diabolo_device_info>(
      info, [&](diabolo_device_info* i) { return diabolo_context_info(context, i); });
  EXPECT_EQ(diabolo_context_destroy(nullptr), DIABOLO_OK);
  diabolo_context* twice = cpu_context();
  EXPECT_EQ(diabolo_context_destroy(twice), DIABOLO_OK);
  expect(DIABOLO_USAGE, "destroyed already?", diabolo_context_destroy(twice));
}

TEST_F(BadArguments, ModelLoad) {
  diabolo_model* loaded = nullptr;
  try_bad_contexts(
      [&](const diabolo_context* c) { return diabolo_model_load(c, "x", nullptr, &loaded); });
  expect(DIABOLO_USAGE, "path", diabolo_model_load(context, nullptr, nullptr, &loaded));
  expect(DIABOLO_USAGE, "path", diabolo_model_load(context, "", nullptr, &loaded));
  expect(DIABOLO_USAGE, "path", diabolo_model_load(context, "-", nullptr, &loaded));
  expect(DIABOLO_USAGE, "model", diabolo_model_load(context, "x", nullptr, nullptr));
  loaded = model;
  expect(DIABOLO_MODEL, "/no/such", diabolo_model_load(context, "/no/such", nullptr, &loaded));
  EXPECT_EQ(loaded, nullptr);
  expect(DIABOLO_MODEL, "/dev/null", diabolo_model_load(context, "/dev/null", nullptr, &loaded));
  const std::string long_path(100000, 'x');
  expect(DIABOLO_MODEL, "xxx", diabolo_model_load(context, long_path.c_str(), nullptr, &loaded));
  try_bad_sizes<diabolo_load_options>(
      {}, [&](diabolo_load_options* o) { return diabolo_model_load(context, "x", o, &loaded); });
}

TEST_F(BadArguments, ModelSaveInspectDestroy) {
  const Folder folder;
  const std::string path = folder.file("m");
  try_bad_models([&](const diabolo_model* m) { return diabolo_model_save(m, path.c_str()); });
  expect(DIABOLO_USAGE, "path", diabolo_model_save(model, nullptr));
  expect(DIABOLO_USAGE, "path", diabolo_model_save(model, ""));
  expect(DIABOLO_USAGE, "path", diabolo_model_save(model, "-"));
  expect(DIABOLO_RESOURCE, "/no/such", diabolo_model_save(model, "/no/such/folder/m"));

  auto info = sized<diabolo_model_info>();
  try_bad_models([&](const diabolo_model* m) { return diabolo_model_inspect(m, &info); });
  expect(DIABOLO_USAGE, "info", diabolo_model_inspect(model, nullptr));
  try_bad_sizes<diabolo_model_info>(
      info, [&](diabolo_model_info* i) { return diabolo_model_inspect(model, i); });

  EXPECT_EQ(diabolo_model_destroy(nullptr), DIABOLO_OK);
  expect(DIABOLO_USAGE, "no handle of a model",
         diabolo_model_destroy(reinterpret_cast<diabolo_model*>(context)));
}

TEST_F(BadArguments, OutputSize) {
  uint64_t numbers = 0;
  try_bad_models(
      [&](const diabolo_model* m) { return diabolo_output_size(m, DIABOLO_ENCODE, 1, &numbers); });
  expect(DIABOLO_USAGE, "numbers", diabolo_output_size(model, DIABOLO_ENCODE, 1, nullptr));
  for (const diabolo_verb verb : {0, 99, -1})
    expect(DIABOLO_USAGE, "verb", diabolo_output_size(model, verb, 1, &numbers));
  for (const diabolo_verb verb : {DIABOLO_ENCODE, DIABOLO_DECODE, DIABOLO_SCORE})
    expect(DIABOLO_USAGE, "rows", diabolo_output_size(model, verb, kHuge, &numbers));
}

TEST_F(BadArguments, Encode) {
  const diabolo_rows rows = view(values);
  try_bad_models([&](const diabolo_model* m) { return diabolo_encode(m, &rows, out, 12); });
  try_bad_rows([&](const diabolo_rows* r) { return diabolo_encode(model, r, out, 12); });
  expect(DIABOLO_USAGE, "codes", diabolo_encode(model, &rows, nullptr, 12));
  expect(DIABOLO_USAGE, "room for 12 numbers, found 11", diabolo_encode(model, &rows, out, 11));
  expect(DIABOLO_USAGE, "room for 12 numbers, found 0", diabolo_encode(model, &rows, out, 0));
  auto* crooked = reinterpret_cast<float*>(reinterpret_cast<char*>(out) + 1);
  expect(DIABOLO_USAGE, "a multiple of 4", diabolo_encode(model, &rows, crooked, 12));
  const diabolo_rows narrow = diabolo_rows_f32(values.data(), 4, kFeatures - 1);
  expect(DIABOLO_DATA, "expected rows f32[*,12], which the model takes, found f32[4,11]",
         diabolo_encode(model, &narrow, out, 12));
  const diabolo_rows one = diabolo_rows_f32(values.data(), kFeatures, 1);
  expect(DIABOLO_DATA, "[1,12]", diabolo_encode(model, &one, out, 12));
}

TEST_F(BadArguments, Decode) {
  try_bad_models(
      [&](const diabolo_model* m) { return diabolo_decode(m, values.data(), 1, out, kFeatures); });
  expect(DIABOLO_USAGE, "codes", diabolo_decode(model, nullptr, 1, out, kFeatures));
  expect(DIABOLO_USAGE, "rows", diabolo_decode(model, values.data(), 1, nullptr, kFeatures));
  expect(DIABOLO_USAGE, "room for 24 numbers, found 23",
         diabolo_decode(model, values.data(), 2, out, 23));
  expect(DIABOLO_USAGE, "more than any memory holds",
         diabolo_decode(model, values.data(), kHuge, out, kFeatures));
  const float codes[] = {1, 2, 3, 4, kNan, 6};
  expect(DIABOLO_DATA, "codes: row 1, column 1 is NaN",
         diabolo_decode(model, codes, 2, out, 2 * kFeatures));
}

TEST_F(BadArguments, Reconstruct) {
  const diabolo_rows rows = view(values);
  try_bad_models([&](const diabolo_model* m) { return diabolo_reconstruct(m, &rows, out, 48); });
  try_bad_rows([&](const diabolo_rows* r) { return diabolo_reconstruct(model, r, out, 48); });
  expect(DIABOLO_USAGE, "out", diabolo_reconstruct(model, &rows, nullptr, 48));
  expect(DIABOLO_USAGE, "room for 48", diabolo_reconstruct(model, &rows, out, 47));
}

TEST_F(BadArguments, Score) {
  const diabolo_rows rows = view(values);
  try_bad_models([&](const diabolo_model* m) { return diabolo_score(m, &rows, out, 4); });
  try_bad_rows([&](const diabolo_rows* r) { return diabolo_score(model, r, out, 4); });
  expect(DIABOLO_USAGE, "scores", diabolo_score(model, &rows, nullptr, 4));
  expect(DIABOLO_USAGE, "room for 4", diabolo_score(model, &rows, out, 3));
}

TEST_F(BadArguments, ScoreFeatures) {
  const diabolo_rows rows = view(values);
  float errors[4 * 2];
  const auto call = [&](const diabolo_model* m, const diabolo_rows* r, uint64_t worst) {
    return diabolo_score_features(m, r, worst, out, 4, out_index, errors, 8);
  };
  try_bad_models([&](const diabolo_model* m) { return call(m, &rows, 2); });
  try_bad_rows([&](const diabolo_rows* r) { return call(model, r, 2); });
  for (const uint64_t worst : {uint64_t{0}, kFeatures + 1, kHuge})
    expect(DIABOLO_USAGE, "worst: expected a number from 1 to 12", call(model, &rows, worst));
  expect(DIABOLO_USAGE, "features: expected room for 12", call(model, &rows, 3));
  expect(DIABOLO_USAGE, "scores",
         diabolo_score_features(model, &rows, 2, nullptr, 4, out_index, errors, 8));
  expect(DIABOLO_USAGE, "scores",
         diabolo_score_features(model, &rows, 2, out, 3, out_index, errors, 8));
  expect(DIABOLO_USAGE, "features",
         diabolo_score_features(model, &rows, 2, out, 4, nullptr, errors, 8));
  expect(DIABOLO_USAGE, "errors",
         diabolo_score_features(model, &rows, 2, out, 4, out_index, nullptr, 8));
}

TEST_F(BadArguments, ValuesThatAreNotFinite) {
  std::vector<float> bad = values;
  diabolo_rows rows = view(bad);
  for (const float value : {kNan, std::numeric_limits<float>::infinity()}) {
    bad[2 * kFeatures + 5] = value;
    expect(DIABOLO_DATA, "rows: row 2, column 5 is", diabolo_encode(model, &rows, out, 12));
    expect(DIABOLO_DATA, "rows: row 2, column 5 is", diabolo_reconstruct(model, &rows, out, 48));
    expect(DIABOLO_DATA, "rows: row 2, column 5 is", diabolo_score(model, &rows, out, 4));
    expect(DIABOLO_DATA, "rows: row 2, column 5 is",
           diabolo_score_features(model, &rows, 1, out, 4, out_index, out + 4, 4));
  }
  std::vector<double> wide(kFeatures, 0.0);
  wide[7] = 1e300;  // no float
  rows.data = wide.data();
  rows.count = 1;
  rows.dtype = DIABOLO_F64;
  expect(DIABOLO_DATA, "row 0, column 7 is infinite or too large for f32",
         diabolo_encode(model, &rows, out, 12));
}

TEST_F(BadArguments, Train) {
  const std::vector<float> many = wave_rows(kRows);
  const diabolo_rows rows = view(many);
  diabolo_model* made = nullptr;
  const auto call = [&](const diabolo_rows* r) {
    const diabolo_train_options options = quick_training();
    return diabolo_train(context, r, &options, &made, nullptr);
  };
  try_bad_rows(call);
  diabolo_train_options good = quick_training();
  try_bad_contexts(
      [&](const diabolo_context* c) { return diabolo_train(c, &rows, &good, &made, nullptr); });
  expect(DIABOLO_USAGE, "model", diabolo_train(context, &rows, &good, nullptr, nullptr));
  try_bad_sizes<diabolo_train_options>(good, [&](diabolo_train_options* o) {
    return diabolo_train(context, &rows, o, &made, nullptr);
  });
  try_bad_sizes<diabolo_train_result>(
      {}, [&](diabolo_train_result* r) { return diabolo_train(context, &rows, &good, &made, r); });

  const diabolo_rows none = diabolo_rows_f32(nullptr, 0, kFeatures);
  expect(DIABOLO_DATA, "rows", call(&none));
  std::vector<float> bad = many;
  bad[17 * kFeatures + 3] = kNan;
  const diabolo_rows with_nan = view(bad);
  made = model;
  expect(DIABOLO_DATA, "row 17, column 3 is NaN", call(&with_nan));
  EXPECT_EQ(made, nullptr);
}

TEST_F(BadArguments, TrainOptions) {
  const std::vector<float> many = wave_rows(kRows);
  const diabolo_rows rows = view(many);
  const auto with = [&](diabolo_status status, const char* part, const auto& change) {
    diabolo_train_options options = quick_training();
    change(options);
    diabolo_model* made = model;
    expect(status, part, diabolo_train(context, &rows, &options, &made, nullptr));
    EXPECT_EQ(made, nullptr);
  };
  using Options = diabolo_train_options;
  with(DIABOLO_USAGE, "nosuch", [](Options& o) { o.preset = "nosuch"; });
  with(DIABOLO_USAGE, "/no/such", [](Options& o) { o.config_path = "/no/such"; });
  with(DIABOLO_USAGE, "config_path", [](Options& o) { o.config_path = "-"; });
  with(DIABOLO_USAGE, "settings", [](Options& o) { o.settings = nullptr; });
  static const char* const kSettings[] = {
      nullptr, "no equals sign", "train.epochs=-1", "train.epoch=1", "model.preset=deep", "=", ""};
  for (const char* const& setting : kSettings)
    with(DIABOLO_USAGE, "", [&](Options& o) { o.settings = &setting; });
  with(DIABOLO_USAGE, "train.epochs", [](Options& o) { o.epochs = kHuge; });
  with(DIABOLO_USAGE, "train.batch_size", [](Options& o) { o.batch_size = uint64_t{1} << 40; });
  with(DIABOLO_USAGE, "model.code.size", [](Options& o) { o.code_size = kHuge; });
  with(DIABOLO_USAGE, "train.seed", [](Options& o) { o.seed = kHuge; });
  for (const double rate : {-1.0, static_cast<double>(kNan), 1e300})
    with(DIABOLO_USAGE, "optimizer.learning_rate", [&](Options& o) { o.learning_rate = rate; });
  with(DIABOLO_USAGE, "run_use", [](Options& o) { o.run_use = 3; });
  with(DIABOLO_USAGE, "run_directory", [](Options& o) { o.run_use = DIABOLO_RUN_RESUME; });
  with(DIABOLO_USAGE, "run_directory", [](Options& o) { o.run_directory = "-"; });
  with(DIABOLO_USAGE, "run_directory", [](Options& o) { o.run_directory = ""; });
  with(DIABOLO_RESOURCE, "/proc/nosuch", [](Options& o) { o.run_directory = "/proc/nosuch"; });
  const Folder folder;
  const std::string empty = folder.file("");
  with(DIABOLO_MODEL, "checkpoint", [&](Options& o) {
    o.run_directory = empty.c_str();
    o.run_use = DIABOLO_RUN_RESUME;
  });
  diabolo_rows narrow = diabolo_rows_f32(many.data(), 10, kFeatures - 1);
  with(DIABOLO_DATA, "validation", [&](Options& o) { o.validation = &narrow; });
  narrow.struct_size = 1;
  with(DIABOLO_USAGE, "validation.struct_size", [&](Options& o) { o.validation = &narrow; });
}

TEST_F(BadArguments, EncodeAndScoreOnTheDevice) {
  diabolo_rows good = view(values);
  const auto encode = [&](const diabolo_model* m, const diabolo_rows* r, void* codes,
                          diabolo_dtype dtype, uint64_t room) {
    return diabolo_encode_device(m, r, codes, dtype, room, nullptr);
  };
  const auto encode_rows = [&](const diabolo_rows* r) {
    return encode(model, r, out, DIABOLO_F32, kRoom);
  };
  const auto score_rows = [&](const diabolo_rows* r) {
    return diabolo_score_device(model, r, out, kRoom, nullptr);
  };
  try_bad_models([&](const diabolo_model* m) { return encode(m, &good, out, DIABOLO_F32, kRoom); });
  try_bad_models(
      [&](const diabolo_model* m) { return diabolo_score_device(m, &good, out, kRoom, nullptr); });
  try_bad_rows(encode_rows);
  try_bad_rows(score_rows);
  diabolo_rows rows = good;
  rows.shape[0] = kFeatures - 1;
  expect(DIABOLO_DATA, "which the model takes", encode_rows(&rows));
  rows = good;
  rows.data = reinterpret_cast<const char*>(values.data()) + 1;
  expect(DIABOLO_USAGE, "multiple of 4", encode_rows(&rows));
  rows = good;
  rows.dtype = DIABOLO_I32;
  expect(DIABOLO_USAGE, "rows: expected f32 or u8", encode_rows(&rows));
  expect(DIABOLO_USAGE, "codes", encode(model, &good, nullptr, DIABOLO_F32, kRoom));
  expect(DIABOLO_USAGE, "codes", encode(model, &good, out, DIABOLO_F32, 4 * kCodeSize - 1));
  expect(DIABOLO_USAGE, "codes_dtype: expected f32",
         encode(model, &good, out, DIABOLO_BF16, kRoom));
  expect(DIABOLO_USAGE, "codes_dtype", encode(model, &good, out, 0, kRoom));
  expect(DIABOLO_USAGE, "scores", diabolo_score_device(model, &good, nullptr, kRoom, nullptr));
  expect(DIABOLO_USAGE, "scores", diabolo_score_device(model, &good, out, 3, nullptr));
  // Nothing is wrong but that the model is on a CPU.
  expect(DIABOLO_DEVICE, "which has no streams", encode_rows(&good));
  expect(DIABOLO_DEVICE, "which has no streams", score_rows(&good));
}

TEST_F(BadArguments, TrainFile) {
  diabolo_train_options good = quick_training();
  diabolo_model* made = nullptr;
  const auto call = [&](const char* path) {
    return diabolo_train_file(context, path, &good, &made, nullptr);
  };
  try_bad_contexts(
      [&](const diabolo_context* c) { return diabolo_train_file(c, "x", &good, &made, nullptr); });
  expect(DIABOLO_USAGE, "path", call(nullptr));
  expect(DIABOLO_USAGE, "path", call(""));
  expect(DIABOLO_USAGE, "path", call("-"));
  expect(DIABOLO_DATA, "/no/such", call("/no/such"));
  expect(DIABOLO_DATA, "/dev/null", call("/dev/null"));
  expect(DIABOLO_USAGE, "model", diabolo_train_file(context, "x", &good, nullptr, nullptr));
  try_bad_sizes<diabolo_train_options>(good, [&](diabolo_train_options* o) {
    return diabolo_train_file(context, "x", o, &made, nullptr);
  });
  try_bad_sizes<diabolo_train_result>({}, [&](diabolo_train_result* r) {
    return diabolo_train_file(context, "x", &good, &made, r);
  });
}

}  // namespace
}  // namespace diabolo_test
