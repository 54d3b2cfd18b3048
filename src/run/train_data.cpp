#include "run/train_data.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "backend/host/host_memory.h"
#include "base/checked.h"
#include "base/hash.h"
#include "data/row_fit.h"
#include "run/order.h"

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

// Reads a data set block by block into rows that grow.
class RowsReader {
 public:
  RowsReader(const Dataset& data, const Scaling& scaling, BadValue policy)
      : data_(data), scaling_(scaling), policy_(policy) {
    rows_.dtype = stays_bytes(data) ? DType::kU8 : DType::kF32;
    rows_.features = data.x().row.elems();
    raw_row_bytes_ = data.x().row.bytes();
  }

  TrainRows read() {
    if (data_.rows()) {
      require_memory(data_, train_rows_bytes(data_));
      rows_.bytes.reserve(train_rows_bytes(data_));
    }
    const uint64_t block = std::max<uint64_t>(1, kBlockBytes / raw_row_bytes_);
    raw_.resize(block * raw_row_bytes_);
    for (uint64_t first = 0;; first += block) {
      const uint64_t wanted = data_.rows() ? std::min(block, *data_.rows() - first) : block;
      const uint64_t count =
          wanted == 0
              ? 0
              : data_.read(0, first, wanted, std::span(raw_).first(wanted * raw_row_bytes_));
      append(first, count);
      if (count < block) break;
    }
    return std::move(rows_);
  }

 private:
  void append(uint64_t first, uint64_t count) {
    const uint64_t before = rows_.bytes.size();
    const uint64_t added = count * rows_.row_bytes();
    if (before + added > rows_.bytes.capacity()) {
      require_memory(data_, 2 * before + added);  // a stream: the vector doubles
    }
    const std::span<const std::byte> raw = std::span(raw_).first(count * raw_row_bytes_);
    if (rows_.dtype == DType::kU8) {
      rows_.bytes.insert(rows_.bytes.end(), raw.begin(), raw.end());
      rows_.rows += count;
      return;
    }
    floats_.resize(count * static_cast<uint64_t>(rows_.features));
    const uint64_t kept =
        convert_rows(scaling_, policy_, {data_.name(), first}, data_.x().row.dtype(), raw, floats_);
    const auto bytes = std::as_bytes(std::span(floats_)).first(kept * rows_.row_bytes());
    rows_.bytes.insert(rows_.bytes.end(), bytes.begin(), bytes.end());
    rows_.rows += kept;
  }

  const Dataset& data_;
  const Scaling& scaling_;
  BadValue policy_;
  TrainRows rows_;
  uint64_t raw_row_bytes_ = 0;
  std::vector<std::byte> raw_;
  std::vector<float> floats_;
};

TrainRows read_rows(const Dataset& data, const Scaling& scaling, BadValue policy) {
  TrainRows rows = RowsReader(data, scaling, policy).read();
  if (rows.rows == 0) throw Error(ErrorCode::kData, data.name() + ": has no rows to train on");
  if (rows.rows > 0xffffffffull)
    throw Error(ErrorCode::kData,
                cat(data.name(), ": ", rows.rows, " rows are more than 2^32 - 1"));
  return rows;
}

// Moves `fraction` of the rows, at least one, to a set of their own; both keep the file's order.
TrainRows split_off(TrainRows& all, double fraction, uint64_t seed, const std::string& name) {
  const auto count =
      static_cast<uint64_t>(std::max(1.0, std::round(fraction * static_cast<double>(all.rows))));
  if (count >= all.rows)
    throw Error(ErrorCode::kData, cat(name, ": ", all.rows, " rows are too few to set ", fraction,
                                      " of them aside for validation"));
  std::vector<uint32_t> order = epoch_order(seed, kSplitEpoch, all.rows);
  std::vector<bool> is_chosen(all.rows, false);
  for (uint64_t i = 0; i < count; ++i) is_chosen[order[i]] = true;
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

uint64_t train_rows_bytes(const Dataset& data) {
  const uint64_t size = stays_bytes(data) ? 1 : sizeof(float);
  const auto row = checked_mul(static_cast<uint64_t>(data.x().row.elems()), size);
  const auto all = row ? checked_mul(*row, data.rows().value_or(0)) : row;
  return all.value_or(UINT64_MAX);
}

TrainData load_train_data(const Config& config, const Dataset& data, const Dataset* validation,
                          const Log& log) {
  DIABOLO_CHECK(config.data.scale.has_value(), "the configuration is not resolved");
  if (data.rows()) require_memory(data, train_rows_bytes(data));  // before a pass over all of it
  TrainData out;
  const BadValue policy = config.data.on_bad_value;
  out.scaling = fit_scaling(data, *config.data.scale, policy);
  out.train = read_rows(data, out.scaling, policy);
  if (data.rows() && out.train.rows < *data.rows() && policy == BadValue::kSkip)
    log.warning(data.name(), ": ", *data.rows() - out.train.rows,
                " rows with bad values are left out");
  if (validation) {
    require_rows_fit(data.x().row, *validation, cat(" as in ", data.name()));
    out.validation = read_rows(*validation, out.scaling, policy);
  } else if (const auto fraction = validation_fraction(config)) {
    out.validation = split_off(out.train, *fraction, config.train.seed, data.name());
  }
  log.info(text_of(data, out));
  out.hash = hash_text(out);
  return out;
}

}  // namespace diabolo
