#include "data/labels.h"

#include <cmath>
#include <cstddef>

#include "base/error.h"
#include "data/transform.h"

namespace diabolo {

std::vector<uint8_t> read_labels(const Dataset& labels, const Dataset& data) {
  if (labels.x().row.elems() != 1 || !labels.rows())
    throw Error(ErrorCode::kData,
                cat(labels.name(), ": expected one number per row, found ", labels.text()));
  const uint64_t rows = *labels.rows();
  if (rows != data.rows())
    throw Error(ErrorCode::kData,
                cat(labels.name(), ": ", rows, " labels do not fit ", data.name(), ", which has ",
                    data.text(), "; one label per row is needed"));
  std::vector<std::byte> raw(rows * labels.x().row.bytes());
  labels.read(0, 0, rows, raw);
  std::vector<float> values(rows);
  to_f32(labels.x().row.dtype(), raw, values);
  std::vector<uint8_t> out(rows);
  for (uint64_t i = 0; i < rows; ++i) {
    if (!std::isfinite(values[i]))
      throw Error(ErrorCode::kData, cat(labels.name(), ": row ", i,
                                        " is not finite; a label is 0 (ordinary) or another number "
                                        "(anomalous)"));
    out[i] = values[i] != 0;
  }
  return out;
}

FileStamp labels_of_training(const std::string& path, const Dataset& data, bool is_resumed,
                             const Log& log) {
  if (path.empty()) return {};
  try {
    const auto labels = open_dataset(path);
    read_labels(*labels, data);
    return stamp_of(*labels, log).stamp;
  } catch (const Error& error) {
    if (!is_resumed || error.code() != ErrorCode::kData) throw;
    log.warning(error.what(), "; the training goes on without labels, evaluate needs --labels");
    return {};
  }
}

}  // namespace diabolo
