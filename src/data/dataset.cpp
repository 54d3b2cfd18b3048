#include "data/dataset.h"

#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {

Dataset::Dataset(std::string name, std::vector<Field> fields, std::optional<uint64_t> rows)
    : name_(std::move(name)), fields_(std::move(fields)), rows_(rows) {
  DIABOLO_CHECK(!fields_.empty(), name_);
}

uint64_t Dataset::read(size_t field, uint64_t first_row, uint64_t count,
                       std::span<std::byte> destination) const {
  DIABOLO_CHECK(field < fields_.size(), field);
  const auto bytes = checked_mul(count, fields_[field].row.bytes());
  DIABOLO_CHECK(bytes && *bytes == destination.size(), count, " rows of ",
                fields_[field].row.text(), " into ", destination.size(), " bytes");
  const auto end = checked_add(first_row, count);
  DIABOLO_CHECK(end && (!rows_ || *end <= *rows_), first_row, "+", count, " of ", text());
  return read_rows(field, first_row, count, destination);
}

bool Dataset::holds_images() const {
  const DType dtype = x().row.dtype();
  return x().row.rank() >= 2 && (dtype == DType::kU8 || dtype == DType::kU16);
}

std::string Dataset::text() const {
  const TensorDesc& row = x().row;
  std::string out = cat(diabolo::name(row.dtype()), "[");
  out += rows_ ? cat(*rows_) : "*";
  for (const int64_t extent : row.extents()) out += cat(",", extent);
  return out + "]";
}

}  // namespace diabolo
