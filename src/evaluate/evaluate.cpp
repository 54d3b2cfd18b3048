#include "evaluate/evaluate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "data/block_reader.h"
#include "data/coarse_rows.h"
#include "data/labels.h"
#include "data/row_fit.h"
#include "data/unit_floats.h"
#include "evaluate/pca.h"
#include "infer/fitting_inference.h"
#include "infer/score.h"

namespace diabolo {

namespace {

constexpr uint64_t kBlockBytes = uint64_t{8} << 20;
constexpr uint64_t kLeastRows = 8;  // of a block: weights are read once for it

// Scaled rows of a data set, block by block; `kept` are their indices in the file, `block` what was
// read there.
using UseBlock = std::function<void(std::span<const float> rows, std::span<const uint64_t> kept,
                                    const RowBlock& block)>;

// How many rows it has read.
uint64_t for_each_block(const ModelFile& model, const Dataset& data, BadValue policy,
                        const UseBlock& use) {
  require_rows_fit(model.row, data);
  const auto width = static_cast<uint64_t>(model.features());
  const uint64_t most =
      std::clamp<uint64_t>(kBlockBytes / (width * sizeof(float)), kLeastRows,
                           std::max(kLeastRows, data.rows().value_or(UINT64_MAX)));
  std::vector<float> rows(most * width);
  std::vector<uint64_t> kept;
  BlockReader reader(data, most, {FieldRole::kX, FieldRole::kLabel});
  RowBlock block;
  while (reader.next(block)) {
    kept.clear();
    const uint64_t good =
        convert_rows(model.scaling, policy, BlockPlace::of(data, block.first), data.x().row.dtype(),
                     block.x(), std::span(rows).first(block.rows * width), &kept);
    for (uint64_t& index : kept) index += block.first;
    use(std::span(rows).first(good * width), kept, block);
  }
  return block.first;
}

// Labels that something can be told from: of both kinds.
std::vector<uint8_t> labels_of(const Dataset& labels, const Dataset& data) {
  std::vector<uint8_t> out = anomalies(read_labels(labels, data));
  const auto anomalous = static_cast<uint64_t>(std::ranges::count(out, uint8_t{1}));
  if (anomalous == 0 || anomalous == out.size())
    throw Error(ErrorCode::kData,
                cat(labels.name(), ": expected ordinary (0) and anomalous rows, found ",
                    out.size() - anomalous, " and ", anomalous));
  return out;
}

// Squared errors of rows, as mean over all and as the mean of each row's PSNR.
class Errors {
 public:
  explicit Errors(int64_t features) : features_(static_cast<size_t>(features)) {}

  void add(std::span<const float> rows, std::span<const float> reconstructions) {
    for (size_t begin = 0; begin < rows.size(); begin += features_) {
      double sum = 0;
      for (size_t i = begin; i < begin + features_; ++i) {
        const double d = static_cast<double>(reconstructions[i]) - static_cast<double>(rows[i]);
        sum += d * d;
      }
      add(sum / static_cast<double>(features_));
    }
  }
  // A row's mean squared error.
  void add(double mean) {
    sum_ += mean;
    decibels_ += -10 * std::log10(mean);
    ++rows_;
  }
  double mse() const { return sum_ / static_cast<double>(rows_); }

  // Keys whose value is not a number are left out: a perfect row has no PSNR.
  void put(nlohmann::json& out, bool is_unit, bool has_images) const {
    out["mse"] = mse();
    const double all = -10 * std::log10(mse());
    const double images = decibels_ / static_cast<double>(rows_);
    if (is_unit && std::isfinite(all)) out["psnr_db"] = all;
    if (is_unit && has_images && std::isfinite(images)) out["psnr_images_db"] = images;
  }

 private:
  size_t features_;
  uint64_t rows_ = 0;
  double sum_ = 0, decibels_ = 0;
};

nlohmann::json anomaly_json(const ModelFile& model, std::span<const float> scores,
                            std::span<const uint8_t> labels) {
  nlohmann::json out = {{"auroc", auroc(scores, labels)},
                        {"average_precision", average_precision(scores, labels)}};
  if (!model.threshold) return out;
  uint64_t ordinary = 0, alarms = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (labels[i] != 0) continue;
    ++ordinary;
    if (static_cast<double>(scores[i]) > *model.threshold) ++alarms;
  }
  out["threshold"] = *model.threshold;
  out["false_alarm_rate"] = static_cast<double>(alarms) / static_cast<double>(ordinary);
  return out;
}

Pca fitted_pca(const ModelFile& model, const EvaluateOptions& options) {
  const Dataset& data = *options.pca_from;
  PcaRows rows{data.name(),
               model.features(),
               data.is_stream() ? std::optional<uint64_t>() : data.rows(),
               {}};
  rows.each_block = [&](const std::function<void(std::span<const float>)>& use) {
    const auto use_rows = [&](std::span<const float> block, std::span<const uint64_t>,
                              const RowBlock&) { use(block); };
    for_each_block(model, data, options.pca_on_bad_value, use_rows);
  };
  PcaOptions fit;
  fit.components = model.network().code_size;
  fit.threads = options.threads;
  fit.log = options.log;
  if (options.progress)
    fit.progress = [&](const PcaProgress& now) {
      options.progress({now.pass, now.rows, data.rows().value_or(0)});
    };
  return fit_pca(rows, fit);
}

// What is collected in the one pass over the data. A row's score is its mean squared error in
// scaled units: the model's errors are made of scores alone.
class Evaluation {
 public:
  Evaluation(FittingInference& inference, const ModelFile& model, const Dataset& data,
             const EvaluateOptions& options, const Pca* pca, std::vector<uint8_t> labels)
      : inference_(inference),
        data_(data),
        options_(options),
        pca_(pca),
        label_field_(options.labels ? std::nullopt : data.find(FieldRole::kLabel)),
        all_labels_(std::move(labels)),
        model_errors_(model.features()),
        pca_errors_(model.features()) {}

  void add(std::span<const float> rows, std::span<const uint64_t> kept, const RowBlock& block) {
    if (label_field_) add_labels(block);
    const RawRows in{DType::kF32, true, std::as_bytes(rows), kept.size()};
    block_scores_.resize(kept.size());
    Scores scores;
    scores.score = block_scores_;
    inference_.run([&](const Inference& model) { model.score(in, scores); });
    if (pca_) {
      out_.resize(rows.size());
      pca_->reconstruct(rows, out_);
    }
    const size_t width = kept.empty() ? 0 : rows.size() / kept.size();
    for (size_t i = 0; i < kept.size(); ++i) {
      if (!all_labels_.empty()) {
        scores_.push_back(block_scores_[i]);
        labels_.push_back(all_labels_[kept[i]]);
      }
      if (!has_finite_error(block_scores_[i], kept[i])) continue;
      model_errors_.add(static_cast<double>(block_scores_[i]));
      if (pca_)
        pca_errors_.add(rows.subspan(i * width, width), std::span(out_).subspan(i * width, width));
    }
    rows_ += kept.size();
    if (options_.progress) options_.progress({0, rows_, data_.rows().value_or(0)});
  }

  nlohmann::json json(const ModelFile& model, uint64_t rows_read) const {
    const bool is_unit = model.scaling.kind == Scale::kUnit && has_unit_range(model.row.dtype());
    nlohmann::json out = {{"rows", rows_},
                          {"rows_read", rows_read},
                          {"rows_skipped", rows_read - rows_},
                          {"rows_infinite", infinite_}};
    const bool has_means = infinite_ < rows_;
    if (has_means) model_errors_.put(out["reconstruction"], is_unit, true);
    if (pca_) {
      out["pca"]["code_size"] = pca_->components();
      if (has_means) pca_errors_.put(out["pca"], is_unit, false);
    }
    if (has_both_kinds()) out["anomaly"] = anomaly_json(model, scores_, labels_);
    return out;
  }
  uint64_t rows() const { return rows_; }

  // Which rows are not in which numbers.
  void warn(uint64_t rows_read) const {
    if (rows_ < rows_read)
      options_.log.warning(data_.name(), ": ", rows_read - rows_, " of ", rows_read,
                           " rows have bad values and are left out");
    if (!labels_.empty() && !has_both_kinds())
      options_.log.warning(data_.name(), ": the anomaly part is left out: the labels have no ",
                           labels_.front() != 0 ? "ordinary (0)" : "anomalous", " row");
    if (infinite_ == 0) return;
    options_.log.warning(
        data_.name(), ": ", infinite_, " of ", rows_,
        " rows have a score of inf, the first is row ", first_infinite_, "; no mean has them",
        !has_both_kinds() ? "" : ", and in the anomaly part they rank above all others");
  }

 private:
  // The labels that the rows bring with them.
  void add_labels(const RowBlock& block) {
    const Field& field = data_.fields()[*label_field_];
    const Labels labels{field.row.dtype(), block.columns[*label_field_].bytes};
    require_finite(labels, data_.name(), block.first);
    const std::vector<uint8_t> added = anomalies(labels);
    all_labels_.insert(all_labels_.end(), added.begin(), added.end());
  }
  // Among the rows that were used.
  bool has_both_kinds() const {
    return std::ranges::find(labels_, 0) != labels_.end() &&
           std::ranges::find(labels_, 1) != labels_.end();
  }
  // A mean over rows needs finite ones.
  bool has_finite_error(float score, uint64_t row) {
    if (std::isfinite(score)) return true;
    if (infinite_++ == 0) first_infinite_ = row;
    return false;
  }

  FittingInference& inference_;
  const Dataset& data_;
  const EvaluateOptions& options_;
  const Pca* pca_;
  std::optional<size_t> label_field_;
  std::vector<uint8_t> all_labels_;  // of the file's rows, or of those read so far
  Errors model_errors_, pca_errors_;
  std::vector<float> out_, block_scores_, scores_;
  std::vector<uint8_t> labels_;  // of the rows that were used
  uint64_t rows_ = 0;
  uint64_t infinite_ = 0, first_infinite_ = 0;  // of rows_: scores that f32 cannot hold
};

}  // namespace

nlohmann::json evaluate(Backend& backend, const ModelFile& model, const Dataset& data,
                        const EvaluateOptions& options) {
  say_reading(data, options.log);
  require_columns_fit(model.texts.feature_names, data, options.log);
  if (options.pca_from) {
    say_reading(*options.pca_from, options.log);
    require_columns_fit(model.texts.feature_names, *options.pca_from, options.log);
  }
  std::vector<uint8_t> labels;
  if (options.labels) {
    say_reading(*options.labels, options.log);
    labels = labels_of(*options.labels, data);
  }
  std::optional<Pca> pca;
  if (options.pca_from) pca.emplace(fitted_pca(model, options));
  FittingInference inference(backend, model, options.inference, options.log);
  Evaluation evaluation(inference, model, data, options, pca ? &*pca : nullptr, std::move(labels));
  const auto add = [&](std::span<const float> rows, std::span<const uint64_t> kept,
                       const RowBlock& block) { evaluation.add(rows, kept, block); };
  warn_of_unit_floats(data, model.row, model.scaling, options.log);
  warn_of_coarse_rows(data, model.scaling, options.log);
  const uint64_t rows_read = for_each_block(model, data, options.on_bad_value, add);
  if (evaluation.rows() == 0)
    throw Error(ErrorCode::kData, data.name() + ": has no rows to evaluate");
  evaluation.warn(rows_read);
  return evaluation.json(model, rows_read);
}

}  // namespace diabolo
