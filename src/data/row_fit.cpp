#include "data/row_fit.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/error.h"
#include "data/csv_text.h"

namespace diabolo {
namespace {

// The extents that say anything about the order of the numbers.
std::vector<int64_t> true_extents(const TensorDesc& row) {
  std::vector<int64_t> out;
  for (const int64_t extent : row.extents())
    if (extent != 1) out.push_back(extent);
  return out;
}

std::string text_of(const TensorDesc& row, std::optional<uint64_t> count) {
  std::string out = cat(name(row.dtype()), "[", count ? cat(*count) : "*");
  for (const int64_t extent : row.extents()) out += cat(",", extent);
  return out + "]";
}

// What to do about it.
std::string advice(const TensorDesc& expected, const FoundRows& found) {
  const int64_t width = expected.elems();
  if (found.row.elems() == width)
    return cat("; give rows of that shape, or flat ones of ", width, " numbers");
  const bool is_one_row =
      found.row.elems() == 1 && found.count && *found.count == static_cast<uint64_t>(width);
  if (!is_one_row) return "";
  return cat("; the first axis counts rows, so these are ", width,
             " rows of one number: make the shape of a single row [1,", width, "]");
}

}  // namespace

bool rows_fit(const TensorDesc& expected, const TensorDesc& found) {
  if (expected.elems() != found.elems()) return false;
  const std::vector<int64_t> a = true_extents(expected), b = true_extents(found);
  return a == b || a.size() <= 1 || b.size() <= 1;
}

void require_rows_fit(const TensorDesc& expected, const FoundRows& found, const std::string& what) {
  if (rows_fit(expected, found.row)) return;
  throw Error(ErrorCode::kData,
              cat(found.name, ": expected rows ", text_of(expected, std::nullopt), what, ", found ",
                  text_of(found.row, found.count), advice(expected, found)));
}

void require_rows_fit(const TensorDesc& expected, const Dataset& found, const std::string& what) {
  require_rows_fit(expected, {found.name(), found.x().row, found.rows()}, what);
}

void say_reading(const Dataset& found, const Log& log) {
  const std::string is = first_line(found);
  if (is.empty() && !found.as_usual().empty()) log.info(found.name(), ": ", found.as_usual());
  if (is.empty()) return;
  log.info(found.name(), ": first line: ", is,
           found.as_usual().empty() ? "" : "; as in training: " + found.as_usual());
}

std::string first_line(const Dataset& found) {
  const size_t end = found.layout().find(';');
  return end == std::string::npos ? "" : found.layout().substr(0, end);
}

void require_columns_fit(const std::vector<std::string>& expected, const Dataset& found,
                         const Log& log) {
  const std::vector<std::string>& names = found.feature_names();
  if (expected.empty() || names.size() != expected.size() || names == expected) return;
  const std::set<std::string> known(expected.begin(), expected.end());
  const auto text = [&](size_t i) {
    return cat(found.name(), ": feature ", i, " is column ", shown(names[i]),
               ", in training it was ", shown(expected[i]));
  };
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != expected[i] && known.contains(names[i]))
      throw Error(ErrorCode::kData,
                  text(i) + "; bring the columns into the order that they had there");
  const auto at = std::ranges::mismatch(expected, names).in1 - expected.begin();
  log.warning(text(static_cast<size_t>(at)), "; features are taken in the order of the file");
}

}  // namespace diabolo
