#include "data/unit_floats.h"

#include <algorithm>
#include <vector>

#include "data/numbers.h"

namespace diabolo {
namespace {

constexpr uint64_t kLookedAtBytes = 1 << 20;

// 0/1 columns kept as bytes are as well given as floats.
bool uses_its_range(const Scaling& scaling) {
  const auto small =
      std::ranges::count_if(scaling.scale, [](float scale) { return scale < 1.0f / 16; });
  return 2 * static_cast<size_t>(small) > scaling.scale.size();
}

bool is_within_unit(DType dtype, std::span<const std::byte> block) {
  bool is_within = true, has_other_than_zero = false;
  visit_dtype(dtype, [&]<class Reader>(Reader) {
    const size_t count = block.size() / sizeof(typename Reader::Stored);
    for (size_t i = 0; i < count && is_within; ++i) {
      const float value = element<Reader>(block.data(), i);
      is_within = value >= 0 && value <= 1;
      has_other_than_zero |= value != 0;
    }
  });
  return is_within && has_other_than_zero;
}

int most_of(DType unsigned_type) {
  return unsigned_type == DType::kU8 ? 255 : 65535;
}

std::vector<std::byte> first_block(const Dataset& data) {
  const uint64_t row_bytes = data.x().row.bytes();
  const uint64_t rows = std::min(*data.rows(), std::max<uint64_t>(1, kLookedAtBytes / row_bytes));
  std::vector<std::byte> block(rows * row_bytes);
  data.read(0, 0, rows, block);
  return block;
}

// The greatest number of the first MiB, as floats.
float greatest(const Dataset& data) {
  const TensorDesc& row = data.x().row;
  std::vector<std::byte> block = first_block(data);
  float out = 0;
  visit_dtype(row.dtype(), [&]<class Reader>(Reader) {
    const size_t count = block.size() / sizeof(typename Reader::Stored);
    for (size_t i = 0; i < count; ++i) out = std::max(out, element<Reader>(block.data(), i));
  });
  return out;
}

// Images of another depth: a model that divides by 255 takes 65535 for 257.
void warn_of_another_depth(const Dataset& data, const TensorDesc& model_row, const Log& log) {
  const DType is = data.x().row.dtype(), was = model_row.dtype();
  const int most = most_of(was);
  if (is == was) return;
  const bool is_shallow = is == DType::kU8;
  const bool is_beyond = !is_shallow && greatest(data) > static_cast<float>(most);
  if (!is_shallow && !is_beyond) return;
  log.warning(data.name(), ": its numbers are ", name(is), is_beyond ? cat(" beyond ", most) : "",
              ", the model was trained on ", name(was), ", of which scale unit makes [0,1] by ",
              "dividing by ", most, "; give them as they were there");
}

}  // namespace

void warn_of_unit_floats(const Dataset& data, const TensorDesc& model_row, const Scaling& scaling,
                         const Log& log) {
  const TensorDesc& row = data.x().row;
  const DType of_model = model_row.dtype();
  const bool is_of_bytes = of_model == DType::kU8 || of_model == DType::kU16;
  if (!is_of_bytes || data.is_stream() || !data.rows()) return;
  if (scaling.kind == Scale::kUnit) warn_of_another_depth(data, model_row, log);
  if (!is_float(row.dtype()) || !uses_its_range(scaling)) return;
  if (!is_within_unit(row.dtype(), first_block(data))) return;
  const int most = most_of(of_model);
  log.warning(data.name(), ": its numbers lie within [0,1], the model was trained on ",
              name(of_model), " from 0 to ", most, "; if they were divided by ", most,
              ", give them as they were");
}

}  // namespace diabolo
