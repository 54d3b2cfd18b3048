// diabolo_run_file: the same bits as in memory, and every way in which it can be refused.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

class Files : public SmallModel {
 protected:
  void SetUp() override { write(input, values); }

  static void write(const std::string& path, const std::vector<float>& numbers) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(numbers.data()),
              static_cast<std::streamsize>(numbers.size() * sizeof(float)));
  }

  static std::vector<float> read(const std::string& path) {
    std::vector<float> numbers(std::filesystem::file_size(path) / sizeof(float));
    std::ifstream in(path, std::ios::binary);
    in.read(reinterpret_cast<char*>(numbers.data()),
            static_cast<std::streamsize>(numbers.size() * sizeof(float)));
    return numbers;
  }

  diabolo_status run(diabolo_verb verb, const std::string& from, const std::string& to,
                     const diabolo_file_options& options = sized<diabolo_file_options>()) {
    return diabolo_run_file(model, verb, from.c_str(), to.c_str(), &options, &result);
  }

  void expect(diabolo_status wanted, const char* part, diabolo_status found) {
    EXPECT_EQ(found, wanted) << diabolo_last_error();
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  }

  const Folder folder;
  const std::string input = folder.file("rows.raw"), output = folder.file("out.raw");
  const std::vector<float> values = wave_rows(1000);
  diabolo_file_result result = sized<diabolo_file_result>();
};

TEST_F(Files, GiveTheBitsThatMemoryGives) {
  const diabolo_rows rows = view(values);
  std::vector<float> codes(1000 * kCodeSize), rebuilt(values.size()), scores(1000);
  ASSERT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK);
  ASSERT_EQ(diabolo_reconstruct(model, &rows, rebuilt.data(), rebuilt.size()), DIABOLO_OK);
  ASSERT_EQ(diabolo_score(model, &rows, scores.data(), scores.size()), DIABOLO_OK);
  write(folder.file("codes.raw"), codes);

  ASSERT_EQ(run(DIABOLO_ENCODE, input, output), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(read(output), codes);
  EXPECT_EQ(result.rows_read, 1000u);
  EXPECT_EQ(result.rows_written, 1000u);
  EXPECT_GT(result.seconds, 0);
  ASSERT_EQ(run(DIABOLO_DECODE, folder.file("codes.raw"), output), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(read(output), rebuilt);
  ASSERT_EQ(run(DIABOLO_RECONSTRUCT, input, output), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(read(output), rebuilt);
  ASSERT_EQ(run(DIABOLO_SCORE, input, output), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(read(output), scores);
}

TEST_F(Files, ResultAndOptionsMayBeNull) {
  EXPECT_EQ(
      diabolo_run_file(model, DIABOLO_ENCODE, input.c_str(), output.c_str(), nullptr, nullptr),
      DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(read(output).size(), 1000 * kCodeSize);
}

TEST_F(Files, BadValuesGoTheWayThatIsAsked) {
  std::vector<float> bad = values;
  bad[500 * kFeatures + 2] = NAN;
  write(input, bad);
  auto options = sized<diabolo_file_options>();
  expect(DIABOLO_DATA, "row 500, column 2 is NaN", run(DIABOLO_ENCODE, input, output));
  EXPECT_FALSE(std::filesystem::exists(output));
  options.on_bad_value = DIABOLO_BAD_VALUE_SKIP;
  ASSERT_EQ(run(DIABOLO_ENCODE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(result.rows_written, 999u);
  options.on_bad_value = DIABOLO_BAD_VALUE_ZERO;
  ASSERT_EQ(run(DIABOLO_ENCODE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(result.rows_written, 1000u);
}

TEST_F(Files, ACancelledOneGoesOn) {
  ASSERT_EQ(run(DIABOLO_ENCODE, input, folder.file("whole.raw")), DIABOLO_OK);
  auto options = sized<diabolo_file_options>();
  options.batch_rows = 10;
  options.progress = [](const diabolo_file_progress* now, void*) -> int32_t {
    return now->struct_size == sizeof *now && now->total_rows == 1000;
  };
  expect(DIABOLO_INTERRUPTED, "stopped by the callback",
         run(DIABOLO_ENCODE, input, output, options));
  EXPECT_FALSE(std::filesystem::exists(output));
  options.progress = nullptr;
  options.resume = 1;
  ASSERT_EQ(run(DIABOLO_ENCODE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(read(output), read(folder.file("whole.raw")));
}

// The only copy of what the model is would be lost.
TEST_F(Files, TheModelsOwnFileIsNoOutput) {
  namespace fs = std::filesystem;
  const std::string path = folder.file("model.raw"), link = folder.file("link.raw"),
                    moved = folder.file("other.raw");
  ASSERT_EQ(diabolo_model_save(model, path.c_str()), DIABOLO_OK);
  fs::create_symlink(path, link);
  const auto bytes = fs::file_size(path);
  diabolo_model* loaded = nullptr;
  const fs::path here = fs::current_path();
  fs::current_path(folder.file(""));
  ASSERT_EQ(diabolo_model_load(context, "model.raw", nullptr, &loaded), DIABOLO_OK);
  fs::current_path(here);  // the place is not a name that moves with the program
  diabolo_model* changed = nullptr;
  ASSERT_EQ(diabolo_model_with(loaded, nullptr, &changed), DIABOLO_OK);
  for (const diabolo_model* of :
       {static_cast<const diabolo_model*>(model), static_cast<const diabolo_model*>(loaded),
        static_cast<const diabolo_model*>(changed)})
    for (const std::string& to : {path, link})
      expect(DIABOLO_USAGE, "is the model itself",
             diabolo_run_file(of, DIABOLO_ENCODE, input.c_str(), to.c_str(), nullptr, nullptr));
  EXPECT_EQ(fs::file_size(path), bytes);
  ASSERT_EQ(diabolo_model_save(loaded, moved.c_str()), DIABOLO_OK);
  for (const std::string& to : {path, moved})
    expect(DIABOLO_USAGE, "is the model itself",
           diabolo_run_file(loaded, DIABOLO_ENCODE, input.c_str(), to.c_str(), nullptr, nullptr));
  diabolo_model_destroy(loaded);
  diabolo_model_destroy(changed);
}

TEST_F(Files, AFileOfTheTrainingsFolderIsNoOutput) {
  diabolo_train_options options = quick_training();
  const std::string run = folder.file("run");
  options.run_directory = run.c_str();
  const diabolo_rows rows = view(values);
  diabolo_model* trained = nullptr;
  ASSERT_EQ(diabolo_train(context, &rows, &options, &trained, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  const auto status_of = [&](const char* name) {
    auto raw = sized<diabolo_file_options>();
    raw.output_format = "raw";
    return diabolo_run_file(trained, DIABOLO_ENCODE, input.c_str(), (run + name).c_str(), &raw,
                            nullptr);
  };
  for (const char* name : {"/model.safetensors", "/checkpoint.safetensors", "/config.toml"})
    EXPECT_EQ(status_of(name), DIABOLO_USAGE) << name;
  EXPECT_EQ(status_of("/codes.raw"), DIABOLO_OK) << diabolo_last_error();
  diabolo_model_destroy(trained);
}

TEST_F(Files, AThresholdOfOnesOwnCountsScores) {
  auto options = sized<diabolo_file_options>();
  options.threshold = 1e-30;
  ASSERT_EQ(run(DIABOLO_SCORE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(result.above_threshold, 1000u);
  const std::vector<float> scores = read(output);
  options.threshold = 1e30;
  ASSERT_EQ(run(DIABOLO_SCORE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(result.above_threshold, 0u);
  EXPECT_EQ(read(output), scores);
  for (const double bad : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    options.threshold = bad;
    expect(DIABOLO_USAGE, "file options.threshold", run(DIABOLO_SCORE, input, output, options));
  }
  options.threshold = 1;
  expect(DIABOLO_USAGE, "only scores have a threshold",
         run(DIABOLO_ENCODE, input, output, options));
}

// What is counted already was counted by the other threshold.
TEST_F(Files, AnotherThresholdDoesNotGoOnWithWhatIsCounted) {
  auto options = sized<diabolo_file_options>();
  options.batch_rows = 10;
  options.threshold = 1e-30;
  options.progress = [](const diabolo_file_progress*, void*) -> int32_t { return 1; };
  expect(DIABOLO_INTERRUPTED, "stopped", run(DIABOLO_SCORE, input, output, options));
  options.progress = nullptr;
  options.resume = 1;
  options.threshold = 1e30;
  expect(DIABOLO_STALE, "out.raw", run(DIABOLO_SCORE, input, output, options));
  options.threshold = 1e-30;
  ASSERT_EQ(run(DIABOLO_SCORE, input, output, options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_GT(result.resumed_rows, 0u);
  EXPECT_EQ(result.above_threshold, 1000u);
}

TEST_F(Files, BadArguments) {
  const char* const in = input.c_str();
  const char* const out = output.c_str();
  const auto call = [&](const char* from, const char* to) {
    return diabolo_run_file(model, DIABOLO_ENCODE, from, to, nullptr, nullptr);
  };
  expect(DIABOLO_USAGE, "model",
         diabolo_run_file(nullptr, DIABOLO_ENCODE, in, out, nullptr, nullptr));
  expect(DIABOLO_USAGE, "no handle of a model",
         diabolo_run_file(reinterpret_cast<diabolo_model*>(context), DIABOLO_ENCODE, in, out,
                          nullptr, nullptr));
  expect(DIABOLO_USAGE, "input", call(nullptr, out));
  expect(DIABOLO_USAGE, "input", call("", out));
  expect(DIABOLO_USAGE, "input", call("-", out));
  expect(DIABOLO_USAGE, "output", call(in, nullptr));
  expect(DIABOLO_USAGE, "output", call(in, ""));
  expect(DIABOLO_USAGE, "output", call(in, "-"));
  expect(DIABOLO_DATA, "/no/such", call("/no/such.npy", out));
  expect(DIABOLO_RESOURCE, "/no/such", call(in, "/no/such/out.raw"));
  for (const diabolo_verb verb : {0, 99, -7})
    expect(DIABOLO_USAGE, "verb", run(verb, input, output));
  for (const uint64_t size : {uint64_t{0}, uint64_t{8}, uint64_t{4097}, ~uint64_t{0}}) {
    auto options = sized<diabolo_file_options>();
    options.struct_size = size;
    expect(DIABOLO_USAGE, "file options.struct_size", run(DIABOLO_ENCODE, input, output, options));
    result.struct_size = size;
    expect(DIABOLO_USAGE, "file result.struct_size", run(DIABOLO_ENCODE, input, output));
    result = sized<diabolo_file_result>();
  }
  EXPECT_FALSE(std::filesystem::exists(output));
}

// A first line of numbers is names only if somebody says so.
TEST_F(Files, TablesAreReadAsTheOptionsSay) {
  const std::string table = folder.file("t.csv");
  {
    std::ofstream file(table);
    for (int row = 0; row < 4; ++row)
      for (uint64_t i = 0; i < kFeatures; ++i)
        file << 2 * i + 1 << (i + 1 < kFeatures ? ';' : '\n');
  }
  auto options = sized<diabolo_file_options>();
  options.input_separator = "semicolon";
  for (const auto& [header, rows] : {std::pair{"yes", 3u}, {"no", 4u}, {"auto", 4u}}) {
    options.input_header = header;
    ASSERT_EQ(run(DIABOLO_ENCODE, table, output, options), DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(result.rows_read, rows) << header;
  }
  options.input_separator = "tab";
  EXPECT_NE(run(DIABOLO_ENCODE, table, output, options), DIABOLO_OK);
}

TEST_F(Files, BadOptions) {
  const auto with = [&](diabolo_status status, const char* part, const auto& change) {
    auto options = sized<diabolo_file_options>();
    change(options);
    expect(status, part, run(DIABOLO_ENCODE, input, output, options));
    EXPECT_FALSE(std::filesystem::exists(output));
  };
  using Options = diabolo_file_options;
  with(DIABOLO_USAGE, "docx", [](Options& o) { o.input_format = "docx"; });
  with(DIABOLO_DATA, "rows.raw", [](Options& o) { o.input_format = "npy"; });
  with(DIABOLO_USAGE, "input_dtype", [](Options& o) { o.input_dtype = 14; });
  with(DIABOLO_USAGE, "input_rank", [](Options& o) { o.input_rank = 5; });
  with(DIABOLO_USAGE, "input_shape", [](Options& o) { o.input_rank = 1; });
  with(DIABOLO_USAGE, "input_shape", [](Options& o) {
    o.input_rank = 1;
    o.input_shape[0] = ~uint64_t{0};
  });
  with(DIABOLO_DATA, "expected rows f32[*,12]", [](Options& o) {
    o.input_rank = 1;
    o.input_shape[0] = 6;
  });
  with(DIABOLO_USAGE, "input_header", [](Options& o) { o.input_header = "perhaps"; });
  with(DIABOLO_USAGE, "input_separator", [](Options& o) { o.input_separator = "."; });
  with(DIABOLO_USAGE, "docx", [](Options& o) { o.output_format = "docx"; });
  with(DIABOLO_USAGE, "output_dtype", [](Options& o) { o.output_dtype = -1; });
  with(DIABOLO_USAGE, "", [](Options& o) { o.output_dtype = DIABOLO_I8; });
  with(DIABOLO_USAGE, "on_bad_value", [](Options& o) { o.on_bad_value = 5; });
  with(DIABOLO_USAGE, "batch_rows", [](Options& o) { o.batch_rows = ~uint64_t{0}; });
  with(DIABOLO_USAGE, "worst", [](Options& o) { o.worst = 33; });
  with(DIABOLO_USAGE, "encode names none", [](Options& o) { o.worst = 2; });
}

// SIGPIPE would end this program.
TEST_F(Files, APipeWithoutAReaderIsAnError) {
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  write(input, wave_rows(50000));
  std::thread reader([&] {
    const int fd = open(pipe.c_str(), O_RDONLY);
    char byte = 0;
    EXPECT_EQ(::read(fd, &byte, 1), 1);
    close(fd);
  });
  auto options = sized<diabolo_file_options>();
  options.output_format = "raw";
  expect(DIABOLO_CLOSED_PIPE, "pipe", run(DIABOLO_RECONSTRUCT, input, pipe, options));
  reader.join();
}

}  // namespace
}  // namespace diabolo_test
