// Rows on the device through a model, on the caller's stream: diabolo_encode_device,
// diabolo_score_device.
#include <array>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"
#include "infer/device_inference.h"

namespace diabolo::capi {

namespace {

DeviceRows device_rows(const Model& model, const diabolo_rows* rows) {
  const diabolo_rows given = required_struct("rows", rows);
  DeviceRows out;
  out.dtype = row_of(given, model.file.row).dtype();
  out.data = bytes_of("rows", given).data();
  out.rows = given.count;
  if (reinterpret_cast<uintptr_t>(out.data) % size_bytes(out.dtype) != 0)
    throw Error(ErrorCode::kUsage, cat("rows.data: expected an address that is a multiple of ",
                                       size_bytes(out.dtype)));
  return out;
}

// The address of the codes, once there is room.
void* codes_of(const Model& model, const DeviceRows& in, void* codes, diabolo_dtype dtype,
               uint64_t room) {
  const DType wanted = model.inference.on_device().columns(kEncodeTask).front().row.dtype();
  if (dtype_of("codes_dtype", dtype) != wanted)
    throw Error(ErrorCode::kUsage,
                cat("codes_dtype: expected ", name(wanted), ", as the model makes them, found ",
                    name(dtype_of("codes_dtype", dtype))));
  const auto width = static_cast<uint64_t>(model.inference.code_size());
  const auto typed = [&]<class Number>(Number) -> void* {
    return output_of("codes", static_cast<Number*>(codes), room, in.rows, width).data();
  };
  if (size_bytes(wanted) == sizeof(uint8_t)) return typed(uint8_t{});
  return size_bytes(wanted) == sizeof(uint16_t) ? typed(uint16_t{}) : typed(uint32_t{});
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_encode_device(const diabolo_model* model, const diabolo_rows* rows,
                                     void* codes, diabolo_dtype codes_dtype, uint64_t codes_size,
                                     void* stream) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::DeviceRows in = device_rows(*found, rows);
    void* const out = codes_of(*found, in, codes, codes_dtype, codes_size);
    found->inference.on_device().run(diabolo::kEncodeTask, in, std::array{out}, stream);
  });
}

diabolo_status diabolo_score_device(const diabolo_model* model, const diabolo_rows* rows,
                                    float* scores, uint64_t scores_size, void* stream) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::DeviceRows in = device_rows(*found, rows);
    void* const out = output_of("scores", scores, scores_size, in.rows, 1).data();
    found->inference.on_device().run(diabolo::kScoreTask, in, std::array{out}, stream);
  });
}
