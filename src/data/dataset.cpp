#include "data/dataset.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {

const char* name(FieldRole role) {
  constexpr std::array kNames = {"x", "label", "id", "target", "weight", "mask", "row"};
  return kNames.at(static_cast<size_t>(role));
}

Dataset::Dataset(std::string name, std::vector<Field> fields, std::optional<uint64_t> rows)
    : name_(std::move(name)), fields_(std::move(fields)), rows_(rows) {
  DIABOLO_CHECK(!fields_.empty() && !x().is_text, name_);
  DIABOLO_CHECK(
      std::ranges::count(fields_, FieldRole::kX, &Field::role) == 1 && x().role == FieldRole::kX,
      name_);
}

std::optional<size_t> Dataset::find(FieldRole role) const {
  const auto found = std::ranges::find(fields_, role, &Field::role);
  if (found == fields_.end()) return std::nullopt;
  return static_cast<size_t>(found - fields_.begin());
}

uint64_t Dataset::read(uint64_t first_row, uint64_t count,
                       std::span<const FieldRows> wanted) const {
  DIABOLO_CHECK(!wanted.empty(), name_);
  for (const FieldRows& one : wanted) {
    DIABOLO_CHECK(one.field < fields_.size(), one.field);
    const Field& field = fields_[one.field];
    const auto bytes = checked_mul(count, field.is_text ? 0 : field.row.bytes());
    DIABOLO_CHECK(bytes && *bytes == one.bytes.size(), count, " rows of ", field.row.text(),
                  " into ", one.bytes.size(), " bytes");
    DIABOLO_CHECK(one.texts.size() == (field.is_text ? count : 0), count, " texts");
  }
  const auto end = checked_add(first_row, count);
  DIABOLO_CHECK(end && (!rows_ || *end <= *rows_), first_row, "+", count, " of ", text());
  return read_rows(first_row, count, wanted);
}

uint64_t Dataset::read(size_t field, uint64_t first_row, uint64_t count,
                       std::span<std::byte> destination) const {
  const FieldRows wanted{field, destination, {}};
  return read(first_row, count, {&wanted, 1});
}

bool Dataset::holds_images() const {
  const DType dtype = x().row.dtype();
  return x().row.rank() >= 2 && (dtype == DType::kU8 || dtype == DType::kU16);
}

std::string Dataset::place_text(uint64_t row, uint64_t feature) const {
  return cat("row ", row, ", column ", feature);
}

std::string Dataset::text() const {
  const TensorDesc& row = x().row;
  std::string out = cat(diabolo::name(row.dtype()), "[");
  out += rows_ ? cat(*rows_) : "*";
  for (const int64_t extent : row.extents()) out += cat(",", extent);
  return out + "]";
}

}  // namespace diabolo
