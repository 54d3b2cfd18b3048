#include "train/train_data.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "backend/host/host_memory.h"
#include "base/checked.h"
#include "base/hash.h"
#include "data/block_reader.h"
#include "data/coarse_rows.h"
#include "data/row_fit.h"
#include "data/unit_floats.h"
#include "train/order.h"

namespace diabolo {
namespace {

constexpr uint64_t kBlockBytes = uint64_t{4} << 20;

bool stays_bytes(const Dataset& data) {
  return data.x().row.dtype() == DType::kU8;
}

[[noreturn]] void fail_memory(const Dataset& data, uint64_t wanted, uint64_t available) {
  throw Error(ErrorCode::kResource,
              cat(data.name(), ": ", data.text(), " takes ", wanted, " bytes (", wanted >> 20,
                  " MiB) in memory, ", available, " bytes (", available >> 20,
                  " MiB) are free; train on fewer rows or on a larger machine"));
}

void require_memory(const Dataset& data, uint64_t wanted) {
  const uint64_t available = host_available_bytes();
  if (wanted > available) fail_memory(data, wanted, available);
}

// Which rows of a file validate: true for them.
using HeldOut = std::vector<bool>;

// By how much rounding may take a scaled value out of the range that it was scaled to.
constexpr float kRounding = 1e-6f;

// What the loss is told to rebuild. BCE is the cross-entropy of two probabilities: beyond [0,1] it
// falls without end, and the worst model looks like the best.
void require_targets(const Scaling& scaling, const BlockPlace& place, std::span<const float> row) {
  const auto is_bad = [](float v) { return !(v >= -kRounding && v <= 1 + kRounding); };
  const auto bad = std::ranges::find_if(row, is_bad);
  if (bad == row.end()) return;
  const auto column = static_cast<uint64_t>(bad - row.begin());
  throw Error(ErrorCode::kData,
              cat(place.text(0, column), " is ", *bad, " in scale ", name(scaling.kind),
                  "; loss bce needs targets in [0,1] (use model.loss.kind = \"mse\"",
                  scaling.kind == Scale::kMinmax
                      ? ", since rows may leave the training range; or scale none for "
                        "numbers in [0,1], unit for unsigned integers)"
                      : ", or mend the row)"),
              DataPosition{place.first_row, column});
}

// Reads a data set block by block into rows that grow.
class RowsReader {
 public:
  // held_out, or null, has one entry per row of the file.
  RowsReader(const Dataset& data, const Scaling& scaling, const Config& config,
             const HeldOut* held_out)
      : data_(data),
        scaling_(scaling),
        policy_(config.data.on_bad_value),
        has_range_(config.model.loss.kind == kernels::Loss::kBce),
        held_out_(held_out) {
    rows_.dtype = stays_bytes(data) ? DType::kU8 : DType::kF32;
    rows_.features = data.x().row.elems();
  }

  TrainRows read() {
    if (data_.rows()) {
      require_memory(data_, train_rows_bytes(data_));
      rows_.bytes.reserve(train_rows_bytes(data_));
    }
    BlockReader reader(data_, std::max<uint64_t>(1, kBlockBytes / data_.x().row.bytes()));
    RowBlock block;
    while (reader.next(block)) append(block.first, block.rows, block.x());
    return std::move(rows_);
  }
  // The entries of held_out of the rows that were read: some are skipped.
  HeldOut take_held_out() { return std::move(kept_held_out_); }

 private:
  void append(uint64_t first, uint64_t count, std::span<const std::byte> raw) {
    const uint64_t before = rows_.bytes.size();
    const uint64_t added = count * rows_.row_bytes();
    if (before + added > rows_.bytes.capacity()) {
      require_memory(data_, 2 * before + added);  // a stream: the vector doubles
    }
    rows_.rows_read += count;
    if (rows_.dtype == DType::kU8) {
      if (has_range_) check_bytes(raw, first);
      rows_.bytes.insert(rows_.bytes.end(), raw.begin(), raw.end());
      rows_.rows += count;
      for (uint64_t i = 0; held_out_ && i < count; ++i)
        kept_held_out_.push_back((*held_out_)[first + i]);
      return;
    }
    kept_.clear();
    floats_.resize(count * static_cast<uint64_t>(rows_.features));
    const uint64_t kept = convert_rows(scaling_, policy_, BlockPlace::of(data_, first),
                                       data_.x().row.dtype(), raw, floats_, &kept_);
    for (uint64_t i = 0; has_range_ && i < kept; ++i) check_floats(i, first + kept_[i]);
    for (uint64_t i = 0; held_out_ && i < kept; ++i)
      kept_held_out_.push_back((*held_out_)[first + kept_[i]]);
    const auto bytes = std::as_bytes(std::span(floats_)).first(kept * rows_.row_bytes());
    rows_.bytes.insert(rows_.bytes.end(), bytes.begin(), bytes.end());
    rows_.rows += kept;
  }

  void check_floats(uint64_t index, uint64_t row) const {
    const auto width = static_cast<uint64_t>(rows_.features);
    require_targets(scaling_, BlockPlace::of(data_, row),
                    std::span(floats_).subspan(index * width, width));
  }
  // The device scales bytes; what they become there is worked out here.
  void check_bytes(std::span<const std::byte> raw, uint64_t first) {
    const auto width = static_cast<uint64_t>(rows_.features);
    floats_.resize(width);
    for (uint64_t row = 0; row < raw.size() / width; ++row) {
      convert_rows(scaling_, BadValue::kError, BlockPlace::of(data_, first + row), DType::kU8,
                   raw.subspan(row * width, width), floats_);
      check_floats(0, first + row);
    }
  }

  const Dataset& data_;
  const Scaling& scaling_;
  BadValue policy_;
  bool has_range_;  // the loss takes targets in [0,1] only
  const HeldOut* held_out_;
  HeldOut kept_held_out_;
  TrainRows rows_;
  std::vector<float> floats_;
  std::vector<uint64_t> kept_;
};

void require_some_rows(uint64_t rows, const std::string& name) {
  if (rows == 0) throw Error(ErrorCode::kData, name + ": has no rows to train on");
  if (rows > 0xffffffffull)
    throw Error(ErrorCode::kData, cat(name, ": ", rows, " rows are more than 2^32 - 1"));
}

// held_out comes back with one entry per row read.
TrainRows read_rows(const Dataset& data, const Scaling& scaling, const Config& config,
                    HeldOut* held_out = nullptr) {
  RowsReader reader(data, scaling, config, held_out);
  TrainRows rows = reader.read();
  require_some_rows(rows.rows, data.name());
  if (held_out) *held_out = reader.take_held_out();
  return rows;
}

// A share of the rows, at least one, chosen by the seed.
HeldOut choose_held_out(const Config& config, uint64_t rows, const std::string& name) {
  require_some_rows(rows, name);
  const uint64_t count = held_out_rows(config, rows);
  if (count >= rows)
    throw Error(ErrorCode::kData, cat(name, ": ", rows, " rows are too few to set ",
                                      config.train.validation, " of them aside for validation"));
  const std::vector<uint32_t> order = epoch_order(config.train.seed, kSplitEpoch, rows);
  HeldOut chosen(rows, false);
  for (uint64_t i = 0; i < count; ++i) chosen[order[i]] = true;
  return chosen;
}

// Moves rows to a set of their own; both keep the file's order.
TrainRows split_off(TrainRows& all, const HeldOut& is_chosen, const std::string& name) {
  const auto count = static_cast<uint64_t>(std::ranges::count(is_chosen, true));
  if (count == 0 || count == all.rows)
    throw Error(ErrorCode::kData,
                cat(name, ": of ", all.rows, " rows without bad values ", count,
                    " are set aside for validation; some are needed there and for training"));
  TrainRows chosen;
  chosen.dtype = all.dtype;
  chosen.features = all.features;
  chosen.rows = count;
  chosen.bytes.reserve(count * all.row_bytes());
  uint64_t kept = 0;
  for (uint64_t i = 0; i < all.rows; ++i) {
    const std::byte* row = all.row(i);
    if (is_chosen[i]) {
      chosen.bytes.insert(chosen.bytes.end(), row, row + all.row_bytes());
    } else {
      std::memmove(all.bytes.data() + kept++ * all.row_bytes(), row, all.row_bytes());
    }
  }
  all.rows = kept;
  all.bytes.resize(kept * all.row_bytes());
  return chosen;
}

std::string hash_text(const TrainData& data) {
  Hasher hasher;
  hasher.update(cat(data.train.rows, "x", data.train.features, " ", name(data.train.dtype)));
  hasher.update(std::span(data.train.bytes));
  hasher.update(std::as_bytes(std::span(data.scaling.shift)));
  hasher.update(std::as_bytes(std::span(data.scaling.scale)));
  if (data.validation) hasher.update(std::span(data.validation->bytes));
  return hasher.digest().hex();
}

// What becomes of the rows, which nobody should have to guess.
std::string text_of(const Dataset& data, const TrainData& loaded) {
  const char* how = data.x().row.rank() > 1 ? ", rows flattened to " : ", ";
  std::string text = cat("data: ", data.text(), how, loaded.train.features, " features, scale ",
                         name(loaded.scaling.kind));
  if (loaded.validation) text += cat(", validated on ", loaded.validation->rows, " rows");
  return text;
}

// What an output activation can give; empty: every number.
const char* output_range(kernels::Activation activation) {
  switch (activation) {
    case kernels::Activation::kIdentity:
    case kernels::Activation::kLeakyRelu:
      return "";
    case kernels::Activation::kRelu:
    case kernels::Activation::kSoftplus:
      return "no number below 0";
    case kernels::Activation::kElu:
      return "no number below -1";
    case kernels::Activation::kGelu:
    case kernels::Activation::kSilu:
      return "hardly a number below 0";
    case kernels::Activation::kTanh:
      return "no number outside [-1,1]";
    case kernels::Activation::kSigmoid:
      return "no number outside [0,1]";
  }
  return "";
}

// Standard scale puts half of the values below 0 and some beyond 1: an output that does not reach
// them learns nothing there, however long it trains.
void warn_of_output_range(const Config& config, const Log& log) {
  const kernels::Activation output = *config.model.decoder.output;
  const std::string_view range = output_range(output);
  if (*config.data.scale != Scale::kStandard || range.empty()) return;
  log.warning("model.decoder.output = \"", kernels::name(output), "\" gives ", range,
              ", and data of scale standard lie on both sides of 0: what it does not reach cannot "
              "come back; use \"identity\", or data.scale = \"minmax\"");
}

}  // namespace

std::optional<double> validation_fraction(const Config& config) {
  const std::string& text = config.train.validation;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(value > 0 && value < 1))
    throw Error(
        ErrorCode::kUsage,
        cat("train.validation: expected a file or a fraction between 0 and 1, found ", text));
  return value;
}

std::optional<uint64_t> first_extreme_row(const TrainRows& rows) {
  if (rows.dtype != DType::kF32 || rows.rows != rows.rows_read) return std::nullopt;
  std::vector<float> values(static_cast<size_t>(rows.features));
  for (uint64_t row = 0; row < rows.rows; ++row) {
    std::memcpy(values.data(), rows.row(row), rows.row_bytes());
    float sum = 0;
    for (const float value : values) sum += value * value;
    if (!std::isfinite(sum)) return row;
  }
  return std::nullopt;
}

uint64_t held_out_rows(const Config& config, uint64_t rows) {
  const std::optional<double> fraction = validation_fraction(config);
  if (!fraction) return 0;
  return static_cast<uint64_t>(std::max(1.0, std::round(*fraction * static_cast<double>(rows))));
}

void warn_of_infinite_validation(const TrainRows& rows, const std::string& name, int64_t epoch,
                                 const Log& log) {
  const auto row = first_extreme_row(rows);
  log.warning(name, row ? cat(": row ", *row, " is too large for the loss in f32") : "",
              ": the validation loss of epoch ", epoch,
              " is not finite; such an epoch is never the best, and without any other the training "
              "runs all its epochs and keeps the last weights; mend or leave out such rows");
}

uint64_t train_rows_bytes(const Dataset& data) {
  const uint64_t size = stays_bytes(data) ? 1 : sizeof(float);
  const auto row = checked_mul(static_cast<uint64_t>(data.x().row.elems()), size);
  const auto all = row ? checked_mul(*row, data.rows().value_or(0)) : row;
  return all.value_or(UINT64_MAX);
}

TrainData load_train_data(const Config& config, const Dataset& data, const Dataset* validation,
                          const Log& log) {
  DIABOLO_CHECK(config.data.scale.has_value(), "the configuration is not resolved");
  if (validation) require_rows_fit(data.x().row, *validation, cat(" as in ", data.name()));
  if (data.rows()) require_memory(data, train_rows_bytes(data));  // before a pass over all of it
  TrainData out;
  const BadValue policy = config.data.on_bad_value;
  const double fraction = validation ? 0 : validation_fraction(config).value_or(0);
  const auto choose = [&](uint64_t rows) { return choose_held_out(config, rows, data.name()); };
  HeldOut held_out;  // a stream that does not say its length is split when it has ended
  const bool is_split_first = fraction > 0 && data.rows();
  if (is_split_first) held_out = choose(*data.rows());
  out.scaling = fit_scaling(data, *config.data.scale, policy, is_split_first ? &held_out : nullptr);
  warn_of_coarse_rows(data, out.scaling, log);
  out.train = read_rows(data, out.scaling, config, is_split_first ? &held_out : nullptr);
  if (fraction > 0 && !is_split_first) held_out = choose(out.train.rows);
  if (data.rows() && out.train.rows < *data.rows() && policy == BadValue::kSkip)
    log.warning(data.name(),
                ": rows with bad values are left out: ", *data.rows() - out.train.rows);
  if (validation) {
    warn_of_unit_floats(*validation, data.x().row, out.scaling, log);
    if (validation->x().row.dtype() != data.x().row.dtype())
      warn_of_coarse_rows(*validation, out.scaling, log);
    out.validation = read_rows(*validation, out.scaling, config);
  } else if (fraction > 0) {
    out.validation = split_off(out.train, held_out, data.name());
  }
  log.info(text_of(data, out));
  warn_of_output_range(config, log);
  out.hash = hash_text(out);
  return out;
}

}  // namespace diabolo
