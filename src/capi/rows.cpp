// Rows in memory through a model: diabolo_encode, _decode, _reconstruct, _score, _score_features.
#include "base/checked.h"
#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"

namespace diabolo::capi {

namespace {

uint64_t features_of(const Model& model) {
  return static_cast<uint64_t>(model.inference.features());
}

uint64_t code_size_of(const Model& model) {
  return static_cast<uint64_t>(model.inference.code_size());
}

// Rows for this model, every value looked at.
RawRows raw_rows(const Model& model, const diabolo_rows* rows) {
  const diabolo_rows given = required_struct("rows", rows);
  const TensorDesc row = row_of(given, model.file.row);
  RawRows out;
  out.dtype = row.dtype();
  out.bytes = bytes_of("rows", given);
  out.rows = given.count;
  check_finite("rows", out.dtype, out.bytes, features_of(model));
  return out;
}

uint64_t output_width(const Model& model, diabolo_verb verb) {
  check_choice("verb", verb, DIABOLO_ENCODE, DIABOLO_SCORE);
  if (verb == DIABOLO_ENCODE) return code_size_of(model);
  return verb == DIABOLO_SCORE ? 1 : features_of(model);
}

uint64_t output_size(const Model& model, diabolo_verb verb, uint64_t rows) {
  const uint64_t width = output_width(model, verb);
  const auto numbers = diabolo::checked_mul(rows, width);
  const auto bytes =
      numbers ? diabolo::checked_mul<uint64_t>(*numbers, sizeof(float)) : std::nullopt;
  if (!bytes)
    throw Error(ErrorCode::kUsage,
                cat("rows: ", rows, " rows of ", width, " numbers are more than any memory holds"));
  return *numbers;
}

void decode(const Model& model, const float* codes, uint64_t count, float* rows, uint64_t room) {
  const uint64_t code_size = code_size_of(model);
  const std::span<float> out = output_of("rows", rows, room, count, features_of(model));
  // The caller vouches for the room of an input by its count.
  const std::span<const float> in = output_of("codes", codes, ~uint64_t{0}, count, code_size);
  if (count == 0) return;
  check_finite("codes", DType::kF32, std::as_bytes(in), code_size);
  model.inference.decode(in, out);
}

Scores worst_of(const Model& model, uint64_t rows, uint64_t worst, uint32_t* features,
                float* errors, uint64_t room) {
  const uint64_t most = std::min<uint64_t>(DIABOLO_MAX_WORST, features_of(model));
  if (worst < 1 || worst > most)
    throw Error(ErrorCode::kUsage,
                cat("worst: expected a number from 1 to ", most, ", found ", worst));
  Scores out;
  out.worst = static_cast<int64_t>(worst);
  out.index = output_of("features", features, room, rows, worst);
  out.error = output_of("errors", errors, room, rows, worst);
  return out;
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_output_size(const diabolo_model* model, diabolo_verb verb, uint64_t rows,
                                   uint64_t* numbers) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    required("numbers", numbers) = output_size(*found, verb, rows);
  });
}

diabolo_status diabolo_encode(const diabolo_model* model, const diabolo_rows* rows, float* codes,
                              uint64_t codes_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::RawRows in = raw_rows(*found, rows);
    const auto out = output_of("codes", codes, codes_size, in.rows, code_size_of(*found));
    if (in.rows > 0) found->inference.encode(in, out);
  });
}

diabolo_status diabolo_decode(const diabolo_model* model, const float* codes, uint64_t count,
                              float* rows, uint64_t rows_size) {
  return guarded(__func__, [&] { decode(*find_model(model), codes, count, rows, rows_size); });
}

diabolo_status diabolo_reconstruct(const diabolo_model* model, const diabolo_rows* rows, float* out,
                                   uint64_t out_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::RawRows in = raw_rows(*found, rows);
    const auto to = output_of("out", out, out_size, in.rows, features_of(*found));
    if (in.rows > 0) found->inference.reconstruct(in, to);
  });
}

diabolo_status diabolo_score(const diabolo_model* model, const diabolo_rows* rows, float* scores,
                             uint64_t scores_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::RawRows in = raw_rows(*found, rows);
    diabolo::Scores out;
    out.score = output_of("scores", scores, scores_size, in.rows, 1);
    if (in.rows > 0) found->inference.score(in, out);
  });
}

diabolo_status diabolo_score_features(const diabolo_model* model, const diabolo_rows* rows,
                                      uint64_t worst, float* scores, uint64_t scores_size,
                                      uint32_t* features, float* errors, uint64_t worst_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::RawRows in = raw_rows(*found, rows);
    diabolo::Scores out = worst_of(*found, in.rows, worst, features, errors, worst_size);
    out.score = output_of("scores", scores, scores_size, in.rows, 1);
    if (in.rows > 0) found->inference.score(in, out);
  });
}
