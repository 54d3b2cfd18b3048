// The C++20 interface of diabolo, header-only above diabolo.h: handles that free themselves, spans,
// exceptions. Shapes, units, limits and what every call may throw (a status of diabolo.h) are
// documented there.
//
//   diabolo::Model model = diabolo::Model::train(diabolo::Rows(values, 784), {.epochs = 5});
//   std::vector<float> codes = model.encode(diabolo::Rows(values, 784));
#pragma once

#if __cplusplus < 201709L
#error "diabolo/diabolo.hpp needs C++20: -std=c++20, cxx_std_20 in CMake (diabolo.h: C99, any C++)"
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "diabolo/diabolo.h"

namespace diabolo {

// A call that failed: its status and diabolo_last_error().
class Error : public std::runtime_error {
 public:
  Error(diabolo_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  diabolo_status status() const noexcept { return status_; }

 private:
  diabolo_status status_;
};

namespace detail {

inline void check(diabolo_status status) {
  if (status != DIABOLO_OK) throw Error(status, diabolo_last_error());
}

// A struct of diabolo.h with its size set and everything else 0.
template <class Struct>
Struct sized() {
  Struct out{};
  out.struct_size = sizeof out;
  return out;
}

inline const char* text_or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

template <class T>
constexpr diabolo_dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DIABOLO_F32;
  if constexpr (std::is_same_v<T, double>) return DIABOLO_F64;
  if constexpr (std::is_same_v<T, bool>) return DIABOLO_BOOL;
  constexpr std::array kSigned = {DIABOLO_I8, DIABOLO_I16, DIABOLO_I32, DIABOLO_I64};
  constexpr std::array kUnsigned = {DIABOLO_U8, DIABOLO_U16, DIABOLO_U32, DIABOLO_U64};
  constexpr int log_bytes = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return std::is_signed_v<T> ? kSigned[log_bytes] : kUnsigned[log_bytes];
}

// Numbers side by side that are still there when the expression is over: containers and arrays that
// have a name, spans and other views; not containers that are about to go.
template <class Values>
concept LastingNumbers =
    std::ranges::contiguous_range<Values> && std::ranges::borrowed_range<Values>;
template <class Values>
concept PassingNumbers =
    std::ranges::contiguous_range<Values> && !std::ranges::borrowed_range<Values>;

// Texts as the C structs want them, borrowed.
struct Texts {
  std::vector<const char*> names;
  std::vector<diabolo_entry> entries;

  Texts(const std::vector<std::string>& feature_names,
        const std::map<std::string, std::string>& metadata) {
    for (const std::string& name : feature_names) names.push_back(name.c_str());
    for (const auto& [key, value] : metadata) entries.push_back({key.c_str(), value.c_str()});
  }
  template <class Struct>
  void fill(Struct& out) const {
    out.feature_names = names.data();
    out.feature_name_count = names.size();
    out.metadata = entries.data();
    out.metadata_count = entries.size();
  }
};

// A callback's user: the function, and what it threw, which must not pass through C.
template <class Progress>
struct Callback {
  const std::function<bool(const Progress&)>& function;
  std::exception_ptr thrown;

  static int32_t call(const Progress* progress, void* user) {
    auto& self = *static_cast<Callback*>(user);
    try {
      return self.function(*progress) ? 0 : 1;
    } catch (...) {
      self.thrown = std::current_exception();
      return 1;
    }
  }
};

}  // namespace detail

// Rows in the caller's memory, borrowed: values are [count, shape...], row-major, and must live as
// long as the rows, wherefore a temporary container is refused. The values' type may be any number
// type; it need not be that of the training data.
class Rows {
 public:
  // values.size() / features rows; Error{DIABOLO_USAGE} if that leaves a rest.
  template <detail::LastingNumbers Values>
  Rows(Values&& values, uint64_t features) : Rows(values, {features}) {}
  template <detail::PassingNumbers Values>
  Rows(Values&& a_temporary_give_it_a_name, uint64_t features) = delete;

  template <detail::LastingNumbers Values>
  Rows(Values&& values, std::initializer_list<uint64_t> shape) {
    const std::span view(values);
    using Number = std::remove_const_t<typename decltype(view)::element_type>;
    static_assert(std::is_arithmetic_v<Number> && sizeof(Number) <= sizeof(uint64_t),
                  "rows are made of numbers of 1 to 8 bytes");
    rows_.data = view.data();
    rows_.dtype = detail::dtype_of<Number>();
    set_shape(shape, view.size());
  }
  template <detail::PassingNumbers Values>
  Rows(Values&& a_temporary_give_it_a_name, std::initializer_list<uint64_t> shape) = delete;

  // As diabolo.h describes rows: for bf16, f16 and more.
  explicit Rows(const diabolo_rows& rows) : rows_(rows) {}

  uint64_t count() const noexcept { return rows_.count; }
  const diabolo_rows* get() const noexcept { return &rows_; }

 private:
  void set_shape(std::initializer_list<uint64_t> shape, uint64_t numbers) {
    uint64_t row = 1;
    for (const uint64_t extent : shape) {
      if (extent == 0 || row > std::numeric_limits<uint64_t>::max() / extent || rows_.rank == 4)
        throw Error(DIABOLO_USAGE, "rows: a shape has 1 to 4 extents from 1 on");
      row *= extent;
      rows_.shape[rows_.rank++] = extent;
    }
    if (numbers % row != 0)
      throw Error(DIABOLO_USAGE, "rows: " + std::to_string(numbers) +
                                     " numbers are no whole rows of " + std::to_string(row));
    rows_.count = numbers / row;
  }

  diabolo_rows rows_ = detail::sized<diabolo_rows>();
};

struct ContextOptions {
  std::string device = "auto";
  uint64_t threads = 0;  // 0: all
  diabolo_precision precision = DIABOLO_PRECISION_F32;
  diabolo_policy policy = DIABOLO_POLICY_STRICT;
  // May be called from several threads at once; must not throw.
  std::function<void(diabolo_log_level, std::string_view)> log = {};
};

// A device and how to compute on it. Copies share it.
class Context {
 public:
  explicit Context(const ContextOptions& options = {}) : shared_(std::make_shared<Shared>()) {
    auto c = detail::sized<diabolo_context_options>();
    shared_->log = options.log;
    c.device = options.device.c_str();
    c.threads = options.threads;
    c.precision = options.precision;
    c.policy = options.policy;
    if (shared_->log) c.log = &Context::log;
    c.log_user = shared_.get();
    detail::check(diabolo_context_create(&c, &shared_->handle));
  }

  diabolo_device_info info() const {
    auto out = detail::sized<diabolo_device_info>();
    detail::check(diabolo_context_info(get(), &out));
    return out;
  }

  diabolo_context* get() const noexcept { return shared_->handle; }

 private:
  struct Shared {
    diabolo_context* handle = nullptr;
    std::function<void(diabolo_log_level, std::string_view)> log;

    ~Shared() { (void)diabolo_context_destroy(handle); }
  };

  static void log(diabolo_log_level level, const char* line, void* user) {
    static_cast<const Shared*>(user)->log(level, line);
  }

  std::shared_ptr<Shared> shared_;
};

struct TrainOptions {
  std::string preset = {};                 // empty: "dense", or what the file names
  std::string config_path = {};            // TOML
  std::vector<std::string> settings = {};  // "model.encoder.hidden=[64,32]"
  uint64_t epochs = 0, batch_size = 0, code_size = 0, seed = 0;  // 0: as configured
  double learning_rate = 0;
  std::optional<Rows> validation = {};
  std::string run_directory = {};                    // empty: in memory only
  std::vector<std::string> feature_names = {};       // kept in the model, one per feature
  std::map<std::string, std::string> metadata = {};  // kept in the model
  diabolo_run_use run_use = DIABOLO_RUN_NEW;
  // False ends the training; the model is then the state so far. What it throws ends it too and
  // comes out of train.
  std::function<bool(const diabolo_train_progress&)> progress = {};
};

// What a copy of a model has in place of what the model has.
struct ModelChanges {
  double threshold = 0;                              // 0: as it is
  std::vector<std::string> feature_names = {};       // none: as they are
  std::map<std::string, std::string> metadata = {};  // added or replaced
};

struct ModelScaling {
  std::vector<double> shift, scale;  // (x - shift[i]) * scale[i]
};

struct FileOptions {
  std::string input_format = {}, output_format = {};  // empty: by content and name
  diabolo_dtype input_dtype = 0, output_dtype = 0;
  std::vector<uint64_t> input_shape = {};
  diabolo_bad_value on_bad_value = DIABOLO_BAD_VALUE_MODEL;
  bool resume = false;
  uint64_t batch_rows = 0, worst = 0;
  double threshold = 0;  // of scores; 0: the model's
  std::function<bool(const diabolo_file_progress&)> progress = {};
  // Of a table, by name or number from 0; empty: as in training.
  std::string input_label_column = {}, input_id_column = {}, input_drop_columns = {};
  std::string input_header = {}, input_separator = {};  // empty: found
  uint64_t count = 0, seed = 0;  // of DIABOLO_GENERATE: how many rows, and of its draws
  double temperature = 0;        // 0: 1
};

// Of calls on rows in memory: diabolo_row_options. states and above are the caller's memory.
struct RunOptions {
  diabolo_bad_value on_bad_value = DIABOLO_BAD_VALUE_MODEL;
  std::span<diabolo_row_state> states = {};
  double threshold = 0;  // 0: the model's
  std::span<uint8_t> above = {};
  uint64_t seed = 0;       // of what a verb draws
  double temperature = 0;  // times its spread; 0: 1
  // False ends the call: Error{DIABOLO_INTERRUPTED}. What it throws comes out of the call.
  std::function<bool(const diabolo_file_progress&)> progress = {};
};

struct EvaluateOptions {
  std::vector<uint8_t> labels = {};  // 0 ordinary, else anomalous; none: not known
  std::optional<Rows> pca_from = {};
  diabolo_bad_value on_bad_value = DIABOLO_BAD_VALUE_MODEL;
  std::function<bool(const diabolo_file_progress&)> progress = {};  // as above
  std::string labels_path = {}, pca_path = {};                      // files in place of these
  // Of evaluate_file: as in FileOptions.
  std::string input_format = {};
  diabolo_dtype input_dtype = 0;
  std::vector<uint64_t> input_shape = {};
  std::string input_label_column = {}, input_id_column = {}, input_drop_columns = {};
  std::string input_header = {}, input_separator = {};  // empty: found
};

struct Evaluation {
  diabolo_evaluation numbers;
  std::string json;  // all there is
};

// diabolo_explanation: [rows, worst] each.
struct Explanation {
  std::vector<float> scores;
  std::vector<uint32_t> features;
  std::vector<float> errors;                  // squared, in scaled units
  std::vector<double> differences, expected;  // in the units of the data
};

// The features that a row's score is made of, most first: features[row * worst + i].
struct FeatureScores {
  std::vector<float> scores;
  std::vector<uint32_t> features;
  std::vector<float> errors;
};

// A trained model; immutable, safe to use from several threads. Moves. Without a context: on the
// device "auto".
class Model {
 public:
  static Model train(const Context& context, const Rows& rows, const TrainOptions& options = {},
                     diabolo_train_result* result = nullptr) {
    return train_with(
        options, result,
        [&](const auto* c, auto** model, auto* out) {
          return diabolo_train(context.get(), rows.get(), c, model, out);
        },
        context);
  }
  static Model train_file(const Context& context, const std::string& path,
                          const TrainOptions& options = {},
                          diabolo_train_result* result = nullptr) {
    return train_with(
        options, result,
        [&](const auto* c, auto** model, auto* out) {
          return diabolo_train_file(context.get(), path.c_str(), c, model, out);
        },
        context);
  }
  static Model train(const Rows& rows, const TrainOptions& options = {}) {
    return train(Context(), rows, options);
  }

  static Model load(const Context& context, const std::string& path,
                    bool allow_unverified = false) {
    auto options = detail::sized<diabolo_load_options>();
    options.allow_unverified = allow_unverified;
    Model model(context);
    detail::check(diabolo_model_load(context.get(), path.c_str(), &options, &model.handle_));
    return model;
  }
  static Model load(const std::string& path) { return load(Context(), path); }

  // From the bytes of a model file, and to them.
  static Model load_memory(const Context& context, std::span<const std::byte> bytes,
                           bool allow_unverified = false) {
    auto options = detail::sized<diabolo_load_options>();
    options.allow_unverified = allow_unverified;
    Model model(context);
    detail::check(diabolo_model_load_memory(context.get(), bytes.data(), bytes.size(), &options,
                                            &model.handle_));
    return model;
  }
  std::vector<std::byte> save_memory() const {
    uint64_t bytes = 0;
    detail::check(diabolo_model_save_memory(handle_, nullptr, 0, &bytes));
    std::vector<std::byte> out(bytes);
    detail::check(diabolo_model_save_memory(handle_, out.data(), out.size(), &bytes));
    return out;
  }

  Model(Model&& other) noexcept
      : context_(other.context_), handle_(std::exchange(other.handle_, nullptr)) {}
  Model& operator=(Model&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Model() { (void)diabolo_model_destroy(handle_); }

  void save(const std::string& path) const {
    detail::check(diabolo_model_save(handle_, path.c_str()));
  }

  diabolo_model_info info() const {
    auto out = detail::sized<diabolo_model_info>();
    detail::check(diabolo_model_inspect(handle_, &out));
    return out;
  }

  std::string text(diabolo_text which) const {
    const char* out = nullptr;
    detail::check(diabolo_model_text(handle_, which, &out));
    return out;
  }

  // Empty where the model has none.
  std::vector<std::string> feature_names() const {
    std::vector<std::string> out(info().feature_names);
    for (uint64_t i = 0; i < out.size(); ++i) {
      const char* name = nullptr;
      detail::check(diabolo_model_feature_name(handle_, i, &name));
      out[i] = name;
    }
    return out;
  }

  std::map<std::string, std::string> metadata() const {
    std::map<std::string, std::string> out;
    const uint64_t count = info().metadata_count;
    for (uint64_t i = 0; i < count; ++i) {
      diabolo_entry entry{};
      detail::check(diabolo_model_metadata_at(handle_, i, &entry));
      out.emplace(entry.key, entry.value);
    }
    return out;
  }

  ModelScaling scaling() const {
    const uint64_t features = info().features;
    ModelScaling out{std::vector<double>(features), std::vector<double>(features)};
    detail::check(diabolo_model_scaling(handle_, out.shift.data(), out.scale.data(), features));
    return out;
  }

  // A model like this one but for the changes; both share the memory on the device.
  Model with(const ModelChanges& changes) const {
    auto c = detail::sized<diabolo_model_changes>();
    c.threshold = changes.threshold;
    const detail::Texts texts(changes.feature_names, changes.metadata);
    texts.fill(c);
    Model model(context_);
    detail::check(diabolo_model_with(handle_, &c, &model.handle_));
    return model;
  }

  std::vector<float> encode(const Rows& rows) const {
    std::vector<float> codes(output_size(DIABOLO_ENCODE, rows.count()));
    encode(rows, codes);
    return codes;
  }
  void encode(const Rows& rows, std::span<float> codes) const {
    detail::check(diabolo_encode(handle_, rows.get(), codes.data(), codes.size()));
  }

  std::vector<float> decode(std::span<const float> codes) const {
    std::vector<float> rows(output_size(DIABOLO_DECODE, code_count(codes)));
    decode(codes, rows);
    return rows;
  }
  void decode(std::span<const float> codes, std::span<float> rows) const {
    detail::check(
        diabolo_decode(handle_, codes.data(), code_count(codes), rows.data(), rows.size()));
  }

  std::vector<float> reconstruct(const Rows& rows) const {
    std::vector<float> out(output_size(DIABOLO_RECONSTRUCT, rows.count()));
    reconstruct(rows, out);
    return out;
  }
  void reconstruct(const Rows& rows, std::span<float> out) const {
    detail::check(diabolo_reconstruct(handle_, rows.get(), out.data(), out.size()));
  }

  std::vector<float> score(const Rows& rows) const {
    std::vector<float> scores(output_size(DIABOLO_SCORE, rows.count()));
    score(rows, scores);
    return scores;
  }
  void score(const Rows& rows, std::span<float> scores) const {
    detail::check(diabolo_score(handle_, rows.get(), scores.data(), scores.size()));
  }

  // Any verb, with options.
  std::vector<float> run(diabolo_verb verb, const Rows& rows,
                         const RunOptions& options = {}) const {
    std::vector<float> out(output_size(verb, rows.count()));
    run(verb, rows, out, options);
    return out;
  }
  void run(diabolo_verb verb, const Rows& rows, std::span<float> out,
           const RunOptions& options = {}) const {
    with_options(options, [&](const diabolo_row_options& c) {
      return diabolo_run_rows(handle_, verb, rows.get(), &c, out.data(), out.size());
    });
  }

  // Rows out of nothing, in the units of the training data, of a model whose codes have a
  // distribution: [count, features].
  std::vector<float> generate(uint64_t count, const RunOptions& options = {}) const {
    std::vector<float> out(output_size(DIABOLO_GENERATE, count));
    with_options(
        options,
        [&](const diabolo_row_options& c) {
          return diabolo_run_rows(handle_, DIABOLO_GENERATE, nullptr, &c, out.data(), out.size());
        },
        count);
    return out;
  }

  Explanation explain(const Rows& rows, uint64_t worst, const RunOptions& options = {}) const {
    const uint64_t count = output_size(DIABOLO_SCORE, rows.count());
    check_worst(worst);
    Explanation out{std::vector<float>(count), std::vector<uint32_t>(count * worst),
                    std::vector<float>(count * worst), std::vector<double>(count * worst),
                    std::vector<double>(count * worst)};
    auto to = detail::sized<diabolo_explanation>();
    to.worst = worst;
    to.room = count * worst;
    to.features = out.features.data();
    to.errors = out.errors.data();
    to.differences = out.differences.data();
    to.expected = out.expected.data();
    with_options(options, [&](const diabolo_row_options& c) {
      return diabolo_explain(handle_, rows.get(), &c, out.scores.data(), count, &to);
    });
    return out;
  }

  Evaluation evaluate(const Rows& rows, const EvaluateOptions& options = {}) const {
    return evaluate_with(options, [&](const auto* c, auto* out) {
      return diabolo_evaluate(handle_, rows.get(), c, out);
    });
  }
  Evaluation evaluate_file(const std::string& path, const EvaluateOptions& options = {}) const {
    return evaluate_with(options, [&](const auto* c, auto* out) {
      return diabolo_evaluate_file(handle_, path.c_str(), c, out);
    });
  }

  // Rows, codes and scores in the memory of the context's CUDA device, on a cudaStream_t; returns
  // before the work is done. The spans are device memory, bf16 codes are their bits.
  //
  //   model.encode_device(Rows(diabolo_rows_f32(d_rows, n, 784)), {d_codes, n * 32}, stream);
  void encode_device(const Rows& rows, std::span<float> codes, void* stream) const {
    detail::check(diabolo_encode_device(handle_, rows.get(), codes.data(), DIABOLO_F32,
                                        codes.size(), stream));
  }
  void encode_device(const Rows& rows, std::span<uint16_t> codes, void* stream) const {
    detail::check(diabolo_encode_device(handle_, rows.get(), codes.data(), DIABOLO_BF16,
                                        codes.size(), stream));
  }
  void score_device(const Rows& rows, std::span<float> scores, void* stream) const {
    detail::check(diabolo_score_device(handle_, rows.get(), scores.data(), scores.size(), stream));
  }

  FeatureScores score_features(const Rows& rows, uint64_t worst) const {
    const uint64_t count = output_size(DIABOLO_SCORE, rows.count());
    check_worst(worst);
    FeatureScores out{std::vector<float>(count), std::vector<uint32_t>(count * worst),
                      std::vector<float>(count * worst)};
    detail::check(diabolo_score_features(handle_, rows.get(), worst, out.scores.data(), count,
                                         out.features.data(), out.errors.data(), count * worst));
    return out;
  }

  // File to file; of DIABOLO_GENERATE, which reads none, input is empty.
  diabolo_file_result run_file(diabolo_verb verb, const std::string& input,
                               const std::string& output, const FileOptions& options = {}) const {
    detail::Callback<diabolo_file_progress> callback{options.progress, nullptr};
    auto c = detail::sized<diabolo_file_options>();
    fill(options, c);
    if (options.progress) c.progress = &callback.call;
    c.progress_user = &callback;
    auto result = detail::sized<diabolo_file_result>();
    const diabolo_status status =
        diabolo_run_file(handle_, verb, detail::text_or_null(input), output.c_str(), &c, &result);
    if (callback.thrown) std::rethrow_exception(callback.thrown);
    detail::check(status);
    return result;
  }

  diabolo_model* get() const noexcept { return handle_; }

 private:
  explicit Model(const Context& context) : context_(context) {}

  // Before memory is taken for it.
  static void check_worst(uint64_t worst) {
    if (worst > DIABOLO_MAX_WORST)
      throw Error(DIABOLO_USAGE, "worst: expected at most " + std::to_string(DIABOLO_MAX_WORST) +
                                     ", found " + std::to_string(worst));
  }

  template <class Call>
  static void with_options(const RunOptions& options, const Call& call, uint64_t count = 0) {
    detail::Callback<diabolo_file_progress> callback{options.progress, nullptr};
    auto c = detail::sized<diabolo_row_options>();
    c.on_bad_value = options.on_bad_value;
    c.states = options.states.data();
    c.states_size = options.states.size();
    c.threshold = options.threshold;
    c.above = options.above.data();
    c.above_size = options.above.size();
    c.count = count;
    c.seed = options.seed;
    c.temperature = options.temperature;
    if (options.progress) c.progress = &callback.call;
    c.progress_user = &callback;
    const diabolo_status status = call(c);
    if (callback.thrown) std::rethrow_exception(callback.thrown);
    detail::check(status);
  }

  template <class Call>
  static Evaluation evaluate_with(const EvaluateOptions& options, const Call& call) {
    Evaluation out{detail::sized<diabolo_evaluation>(), {}};
    detail::Callback<diabolo_file_progress> callback{options.progress, nullptr};
    auto c = detail::sized<diabolo_evaluate_options>();
    if (options.progress) c.progress = &callback.call;
    c.progress_user = &callback;
    c.labels = options.labels.empty() ? nullptr : options.labels.data();
    c.label_count = options.labels.size();
    c.pca_from = options.pca_from ? options.pca_from->get() : nullptr;
    c.labels_path = detail::text_or_null(options.labels_path);
    c.pca_path = detail::text_or_null(options.pca_path);
    c.on_bad_value = options.on_bad_value;
    fill_input(options, c);
    c.report = [](const char* text, void* user) { *static_cast<std::string*>(user) = text; };
    c.report_user = &out.json;
    const diabolo_status status = call(&c, &out.numbers);
    if (callback.thrown) std::rethrow_exception(callback.thrown);
    detail::check(status);
    return out;
  }

  template <class Call>
  static Model train_with(const TrainOptions& options, diabolo_train_result* result,
                          const Call& call, const Context& context) {
    std::vector<const char*> settings;
    for (const std::string& setting : options.settings) settings.push_back(setting.c_str());
    detail::Callback<diabolo_train_progress> callback{options.progress, nullptr};
    auto c = detail::sized<diabolo_train_options>();
    fill(options, settings, c);
    const detail::Texts texts(options.feature_names, options.metadata);
    texts.fill(c);
    if (options.progress) c.progress = &callback.call;
    c.progress_user = &callback;
    auto local = detail::sized<diabolo_train_result>();
    Model model(context);
    const diabolo_status status = call(&c, &model.handle_, &local);
    if (callback.thrown) std::rethrow_exception(callback.thrown);
    if (status != DIABOLO_INTERRUPTED) detail::check(status);
    if (result) *result = local;
    return model;
  }

  static void fill(const TrainOptions& from, std::span<const char* const> settings,
                   diabolo_train_options& to) {
    to.preset = detail::text_or_null(from.preset);
    to.config_path = detail::text_or_null(from.config_path);
    to.settings = settings.data();
    to.setting_count = settings.size();
    to.epochs = from.epochs;
    to.batch_size = from.batch_size;
    to.code_size = from.code_size;
    to.seed = from.seed;
    to.learning_rate = from.learning_rate;
    to.validation = from.validation ? from.validation->get() : nullptr;
    to.run_directory = detail::text_or_null(from.run_directory);
    to.run_use = from.run_use;
  }

  // How an input is opened.
  template <class From, class To>
  static void fill_input(const From& from, To& to) {
    to.input_format = detail::text_or_null(from.input_format);
    to.input_dtype = from.input_dtype;
    to.input_rank = static_cast<uint32_t>(from.input_shape.size());
    for (size_t i = 0; i < from.input_shape.size() && i < DIABOLO_MAX_ROW_RANK; ++i)
      to.input_shape[i] = from.input_shape[i];
    to.input_label_column = detail::text_or_null(from.input_label_column);
    to.input_id_column = detail::text_or_null(from.input_id_column);
    to.input_drop_columns = detail::text_or_null(from.input_drop_columns);
    to.input_header = detail::text_or_null(from.input_header);
    to.input_separator = detail::text_or_null(from.input_separator);
  }

  static void fill(const FileOptions& from, diabolo_file_options& to) {
    fill_input(from, to);
    to.output_format = detail::text_or_null(from.output_format);
    to.output_dtype = from.output_dtype;
    to.on_bad_value = from.on_bad_value;
    to.resume = from.resume;
    to.batch_rows = from.batch_rows;
    to.worst = from.worst;
    to.threshold = from.threshold;
    to.count = from.count;
    to.seed = from.seed;
    to.temperature = from.temperature;
  }

  uint64_t output_size(diabolo_verb verb, uint64_t rows) const {
    uint64_t numbers = 0;
    detail::check(diabolo_output_size(handle_, verb, rows, &numbers));
    return numbers;
  }

  uint64_t code_count(std::span<const float> codes) const {
    const uint64_t width = output_size(DIABOLO_ENCODE, 1);
    if (codes.size() % width != 0)
      throw Error(DIABOLO_USAGE, "codes: " + std::to_string(codes.size()) +
                                     " numbers are no whole codes of " + std::to_string(width));
    return codes.size() / width;
  }

  Context context_;
  diabolo_model* handle_ = nullptr;
};

}  // namespace diabolo
