// Checks of what comes in through the C interface. Each throws Error{kUsage} that names the
// argument, what was expected and what was found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/tensor.h"
#include "capi/struct_size.h"
#include "data/dataset.h"
#include "data/transform.h"
#include "diabolo/diabolo.h"
#include "model/model_file.h"
#include "model/task.h"

namespace diabolo::capi {

template <class T>
T& required(const char* name, T* pointer) {
  if (!pointer) fail_null(name);
  return *pointer;
}

// A path: not null, not empty, and not "-", since standard streams are the program's.
std::string required_path(const char* name, const char* text);

// The same place, whatever folder the program goes to later.
std::string absolute(const std::string& path);

// One of `count` values counted from `first`.
void check_choice(const char* name, int32_t value, int32_t first, int32_t count);
const Task& task_of(diabolo_verb verb);

DType dtype_of(const char* name, diabolo_dtype dtype);
diabolo_dtype dtype_number(DType dtype);

// Type and shape of one row.
TensorDesc row_of(const diabolo_rows& rows);

// The same; throws Error{kData} unless rows of a model, `expected`, are such rows (data/row_fit.h).
TensorDesc row_of(const diabolo_rows& rows, const TensorDesc& expected);

// Rows as a data set that borrows them; name is for messages.
std::unique_ptr<Dataset> dataset_of(const char* name, const diabolo_rows* rows);

// rows.count rows as bytes; name is for messages.
std::span<const std::byte> bytes_of(const char* name, const diabolo_rows& rows);

// The policy that options ask for; MODEL is what the model was trained with.
BadValue bad_value_of(const char* name, diabolo_bad_value policy, const ModelFile& model);

// rows x width numbers of f32: the output that starts at data and has room for `room` numbers.
template <class Number>
std::span<Number> output_of(const char* name, Number* data, uint64_t room, uint64_t rows,
                            uint64_t width);

}  // namespace diabolo::capi
