#include "data/labels.h"

#include <cmath>
#include <type_traits>

#include "base/error.h"
#include "data/block_reader.h"
#include "data/numbers.h"
#include "data/row_fit.h"

namespace diabolo {
namespace {

// Calls use(row, value): a double tells 0 from other numbers, and finite ones, for every type.
template <class Use>
void for_each_label(const Labels& labels, const Use& use) {
  visit_dtype(labels.dtype, [&]<class Reader>(Reader) {
    using Stored = typename Reader::Stored;
    for (uint64_t i = 0; i < labels.values.size() / sizeof(Stored); ++i) {
      Stored stored;
      std::memcpy(&stored, labels.values.data() + i * sizeof(Stored), sizeof(Stored));
      if constexpr (std::is_same_v<Reader, Plain<Stored>>) {
        use(i, static_cast<double>(stored));
      } else {
        use(i, static_cast<double>(Reader::value(stored)));
      }
    }
  });
}

}  // namespace

Labels read_labels(const Dataset& labels, const Dataset& data) {
  if (labels.x().row.elems() != 1 || !labels.rows())
    throw Error(ErrorCode::kData,
                cat(labels.name(), ": expected one number per row, found ", labels.text()));
  const uint64_t rows = *labels.rows();
  if (rows != data.rows())
    throw Error(ErrorCode::kData,
                cat(labels.name(), ": ", rows, " labels do not fit ", data.name(), ", which has ",
                    data.text(), "; one label per row is needed"));
  Labels out{labels.x().row.dtype(), std::vector<std::byte>(rows * labels.x().row.bytes())};
  labels.read(0, 0, rows, out.values);
  require_finite(out, labels.name(), 0);
  return out;
}

void require_finite(const Labels& labels, const std::string& name, uint64_t first_row) {
  for_each_label(labels, [&](uint64_t row, double value) {
    if (std::isfinite(value)) return;
    throw Error(ErrorCode::kData, cat(name, ": row ", first_row + row,
                                      " has a label that is not finite; one is 0 (ordinary) or "
                                      "another number (anomalous)"));
  });
}

std::vector<uint8_t> anomalies(const Labels& labels) {
  std::vector<uint8_t> out;
  out.reserve(labels.values.size() / size_bytes(labels.dtype));
  for_each_label(labels, [&](uint64_t, double value) { out.push_back(value != 0); });
  return out;
}

void require_labels(const Dataset& data) {
  const auto field = data.find(FieldRole::kLabel);
  if (!field || data.is_stream()) return;
  BlockReader reader(data, 4096, {FieldRole::kLabel});
  for (RowBlock block; reader.next(block);)
    require_finite({data.fields()[*field].row.dtype(), block.columns[*field].bytes}, data.name(),
                   block.first);
}

FileStamp labels_of_training(const std::string& path, const Dataset& data, bool is_resumed,
                             const Log& log) {
  if (!path.empty() && data.find(FieldRole::kLabel))
    throw Error(ErrorCode::kUsage, cat("expected data.labels or data.label_column, found both ",
                                       "(data.drop_columns leaves a column out)"));
  try {
    require_labels(data);
    if (path.empty()) return {};
    const auto labels = open_dataset(path);
    say_reading(*labels, log);
    read_labels(*labels, data);
    return stamp_of(*labels, log).stamp;
  } catch (const Error& error) {
    if (!is_resumed || error.code() != ErrorCode::kData) throw;
    log.warning(error.what(), "; the training goes on without labels, evaluate needs --labels");
    return {};
  }
}

}  // namespace diabolo
