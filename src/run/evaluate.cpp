#include "run/evaluate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/row_fit.h"
#include "run/fitting_inference.h"
#include "run/labels.h"
#include "run/pca.h"
#include "run/score.h"

namespace diabolo {

namespace {

constexpr uint64_t kBlockBytes = uint64_t{8} << 20;

// Scaled rows of a data set, block by block; `kept` are their indices in the file.
using UseBlock = std::function<void(std::span<const float> rows, std::span<const uint64_t> kept)>;

// How many rows it has read.
uint64_t for_each_block(const ModelFile& model, const Dataset& data, BadValue policy,
                        const UseBlock& use) {
  require_rows_fit(model.row, data);
  const uint64_t row_bytes = data.x().row.bytes();
  const auto width = static_cast<uint64_t>(model.features());
  const uint64_t most = std::max<uint64_t>(1, kBlockBytes / (width * sizeof(float)));
  std::vector<std::byte> raw(most * row_bytes);
  std::vector<float> rows(most * width);
  std::vector<uint64_t> kept;
  for (uint64_t first = 0;;) {
    const uint64_t wanted = data.rows() ? std::min(most, *data.rows() - first) : most;
    const uint64_t count =
        wanted == 0 ? 0 : data.read(0, first, wanted, std::span(raw).first(wanted * row_bytes));
    if (count == 0) return first;
    kept.clear();
    const uint64_t good = convert_rows(
        model.scaling, policy, {data.name(), first}, data.x().row.dtype(),
        std::span(raw).first(count * row_bytes), std::span(rows).first(count * width), &kept);
    for (uint64_t& index : kept) index += first;
    use(std::span(rows).first(good * width), kept);
    first += count;
    if (count < most) return first;
  }
}

// Labels that something can be told from: of both kinds.
std::vector<uint8_t> labels_of(const Dataset& labels, const Dataset& data) {
  std::vector<uint8_t> out = read_labels(labels, data);
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
      const double mean = sum / static_cast<double>(features_);
      sum_ += mean;
      decibels_ += -10 * std::log10(mean);
      ++rows_;
    }
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

Pca fitted_pca(const ModelFile& model, const Dataset& data, BadValue policy) {
  Pca pca(model.features());
  for_each_block(model, data, policy,
                 [&](std::span<const float> rows, std::span<const uint64_t>) { pca.add(rows); });
  pca.fit(model.network().code_size);
  return pca;
}

// What is collected in the one pass over the data.
class Evaluation {
 public:
  Evaluation(FittingInference& inference, int64_t features, const Pca* pca,
             std::span<const uint8_t> labels)
      : inference_(inference),
        pca_(pca),
        all_labels_(labels),
        model_errors_(features),
        pca_errors_(features) {}

  void add(std::span<const float> rows, std::span<const uint64_t> kept) {
    out_.resize(rows.size());
    const RawRows in{DType::kF32, true, std::as_bytes(rows), kept.size()};
    inference_.run([&](const Inference& model) { model.reconstruct_scaled(in, out_); });
    model_errors_.add(rows, out_);
    rows_ += kept.size();
    if (pca_) {
      pca_->reconstruct(rows, out_);
      pca_errors_.add(rows, out_);
    }
    if (all_labels_.empty()) return;
    scores_.resize(rows_);
    Scores scores;
    scores.score = std::span(scores_).last(kept.size());
    inference_.run([&](const Inference& model) { model.score(in, scores); });
    for (const uint64_t index : kept) labels_.push_back(all_labels_[index]);
  }

  nlohmann::json json(const ModelFile& model, uint64_t rows_read) const {
    const bool is_unit = model.scaling.kind == Scale::kUnit && has_unit_range(model.row.dtype());
    nlohmann::json out = {
        {"rows", rows_}, {"rows_read", rows_read}, {"rows_skipped", rows_read - rows_}};
    model_errors_.put(out["reconstruction"], is_unit, true);
    if (pca_) {
      out["pca"]["code_size"] = pca_->components();
      pca_errors_.put(out["pca"], is_unit, false);
    }
    if (!all_labels_.empty()) out["anomaly"] = anomaly_json(model, scores_, labels_);
    return out;
  }
  uint64_t rows() const { return rows_; }

 private:
  FittingInference& inference_;
  const Pca* pca_;
  std::span<const uint8_t> all_labels_;
  Errors model_errors_, pca_errors_;
  std::vector<float> out_, scores_;
  std::vector<uint8_t> labels_;  // of the rows that were kept
  uint64_t rows_ = 0;
};

}  // namespace

nlohmann::json evaluate(Backend& backend, const ModelFile& model, const Dataset& data,
                        const EvaluateOptions& options) {
  const std::vector<uint8_t> labels =
      options.labels ? labels_of(*options.labels, data) : std::vector<uint8_t>{};
  std::optional<Pca> pca;
  if (options.pca_from) pca.emplace(fitted_pca(model, *options.pca_from, options.on_bad_value));
  FittingInference inference(backend, model, options.inference, options.log);
  Evaluation evaluation(inference, model.features(), pca ? &*pca : nullptr, labels);
  const auto add = [&](std::span<const float> rows, std::span<const uint64_t> kept) {
    evaluation.add(rows, kept);
  };
  const uint64_t rows_read = for_each_block(model, data, options.on_bad_value, add);
  if (evaluation.rows() == 0)
    throw Error(ErrorCode::kData, data.name() + ": has no rows to evaluate");
  return evaluation.json(model, rows_read);
}

}  // namespace diabolo
