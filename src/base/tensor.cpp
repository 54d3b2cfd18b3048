#include "base/tensor.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {

TensorDesc::TensorDesc(DType dtype, std::span<const int64_t> extents) : dtype_(dtype) {
  DIABOLO_CHECK(extents.size() <= kMaxRank, extents.size());
  rank_ = static_cast<int>(extents.size());
  bool has_zero = false;
  for (int axis = 0; axis < rank_; ++axis) {
    extents_[axis] = extents[axis];
    DIABOLO_CHECK(extents_[axis] >= 0, extents_[axis]);
    has_zero |= extents_[axis] == 0;
  }
  if (has_zero) {  // exact even where the product of the others would not fit
    elems_ = 0;
    return;
  }
  std::optional<int64_t> bytes = static_cast<int64_t>(size_bytes(dtype));
  for (int axis = 0; axis < rank_ && bytes; ++axis) bytes = checked_mul(*bytes, extents_[axis]);
  if (!bytes) {
    throw Error(ErrorCode::kResource, cat("a tensor of shape ", text(), " does not fit memory"));
  }
  elems_ = *bytes / static_cast<int64_t>(size_bytes(dtype));
}

TensorDesc::TensorDesc(DType dtype, std::initializer_list<int64_t> extents)
    : TensorDesc(dtype, std::span<const int64_t>(extents.begin(), extents.size())) {}

int64_t TensorDesc::extent(int axis) const {
  DIABOLO_CHECK(axis >= 0 && axis < rank_, "axis ", axis, " of ", text());
  return extents_[axis];
}

std::string TensorDesc::text() const {
  std::string out = cat(name(dtype_), "[");
  for (int axis = 0; axis < rank_; ++axis) out += cat(axis ? "," : "", extents_[axis]);
  return out + "]";
}

bool TensorDesc::operator==(const TensorDesc& other) const {
  return dtype_ == other.dtype_ && std::ranges::equal(extents(), other.extents());
}

}  // namespace diabolo
