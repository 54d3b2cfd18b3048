#include "infer/input_rows.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "infer/integer_rows.h"

namespace diabolo {

// Bytes go to the device as they are; all else becomes scaled floats on the way in.
Source source_of(const Task& task, std::span<const RawRows> in) {
  bool are_bytes = std::ranges::any_of(task.inputs, &TaskInput::is_scaled);
  for (size_t i = 0; i < in.size(); ++i)
    if (task.inputs[i].is_scaled())
      are_bytes = are_bytes && in[i].dtype == DType::kU8 && !in[i].is_scaled;
  return are_bytes ? Source::kRawU8 : Source::kScaled;
}

namespace {

std::optional<Error> failure_of_fetch(const RawRows& in, uint64_t first, uint64_t count,
                                      std::span<std::byte> to) {
  try {
    in.fetch(first, count, to);
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// Rows that cannot be had together: those before the first that cannot be had are looked at like
// any other, so that which row is named depends on no piece. Found by halves: [0, good) are there,
// [0, bad] are not.
void copy_rows_before_failure(const RawRows& in, uint64_t first, uint64_t count,
                              std::span<std::byte> to, Error failure, RowWatch& watch) {
  const uint64_t row_bytes = to.size() / count;
  uint64_t good = 0, bad = count - 1;
  while (good < bad) {
    const uint64_t more = (bad - good + 1) / 2;
    const auto place = to.subspan(good * row_bytes, more * row_bytes);
    const std::optional<Error> found = failure_of_fetch(in, first + good, more, place);
    if (!found) {
      good += more;
      continue;
    }
    failure = *found;
    bad = good + more - 1;
  }
  watch.fail(first + bad, failure);
  std::ranges::fill(to.subspan(bad * row_bytes), std::byte{0});
}

// Raw rows to a place of their own.
void copy_rows(const RawRows& in, uint64_t first, uint64_t count, std::span<std::byte> to,
               RowWatch& watch) {
  if (!in.fetch) {
    std::memcpy(to.data(), in.bytes.data() + first * (to.size() / count), to.size());
    return;
  }
  const std::optional<Error> failure = failure_of_fetch(in, first, count, to);
  if (failure) copy_rows_before_failure(in, first, count, to, *failure, watch);
}

}  // namespace

// Rows on their way in; those that are there already as the plan takes them are copied.
void fill_rows(const RawRows& in, Source source, const InputWay& way, uint64_t first,
               uint64_t count, void* staging, RowWatch& watch) {
  const uint64_t bytes = count * way.width * size_bytes(in.dtype);
  if (way.input.is_scaled() && (in.is_scaled || source == Source::kRawU8))
    return copy_rows(in, first, count, {static_cast<std::byte*>(staging), bytes}, watch);
  const auto take = [&](std::span<const std::byte> raw) {
    const std::span floats(static_cast<float*>(staging), count * way.width);
    if (way.scaling && is_float(way.type))
      return watch.convert(*way.scaling, in.dtype, raw, first, floats,
                           way.input.role == FieldRole::kX ? nullptr : way.what());
    if (is_float(way.type)) return watch.take(way.what(), way.width, in.dtype, raw, first, floats);
    convert_integers({way.what(), way.width, way.type, way.values}, in.dtype, raw, first, staging,
                     watch);
  };
  if (!in.fetch) return take(in.bytes.subspan(first * (bytes / count), bytes));
  const auto room = std::make_unique_for_overwrite<std::byte[]>(bytes);
  copy_rows(in, first, count, {room.get(), bytes}, watch);
  take({room.get(), bytes});
}

}  // namespace diabolo
