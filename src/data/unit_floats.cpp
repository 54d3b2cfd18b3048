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

}  // namespace

void warn_of_unit_floats(const Dataset& data, const TensorDesc& model_row, const Scaling& scaling,
                         const Log& log) {
  const TensorDesc& row = data.x().row;
  const DType of_model = model_row.dtype();
  const bool is_of_bytes = of_model == DType::kU8 || of_model == DType::kU16;
  if (!is_of_bytes || !is_float(row.dtype()) || data.is_stream() || !data.rows()) return;
  if (!uses_its_range(scaling)) return;
  const uint64_t rows = std::min(*data.rows(), std::max<uint64_t>(1, kLookedAtBytes / row.bytes()));
  std::vector<std::byte> block(rows * row.bytes());
  data.read(0, 0, rows, block);
  if (!is_within_unit(row.dtype(), block)) return;
  const int most = of_model == DType::kU8 ? 255 : 65535;
  log.warning(data.name(), ": its numbers lie within [0,1], the model was trained on ",
              name(of_model), " from 0 to ", most, "; if they were divided by ", most,
              ", give them as they were");
}

}  // namespace diabolo
