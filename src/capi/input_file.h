// Data files that come in through the C interface by path.
#pragma once

#include <memory>

#include "base/tensor.h"
#include "data/dataset.h"
#include "diabolo/diabolo.h"
#include "jobs/open.h"
#include "model/model_file.h"

namespace diabolo::capi {

// The fields that several structs have; `name` is the struct's, for messages.
struct GivenInput {
  const char* name = nullptr;
  const char* format = nullptr;
  diabolo_dtype dtype = 0;
  uint32_t rank = 0;
  const uint64_t* shape = nullptr;  // of one row
  const char* label_column = nullptr;
  const char* id_column = nullptr;
  const char* drop_columns = nullptr;
  const char* header = nullptr;
  const char* separator = nullptr;

  // The first field that is set, or null.
  const char* first_set() const;
};

template <class Options>
GivenInput given_input(const char* name, const Options& options) {
  return {name,
          options.input_format,
          options.input_dtype,
          options.input_rank,
          options.input_shape,
          options.input_label_column,
          options.input_id_column,
          options.input_drop_columns,
          options.input_header,
          options.input_separator};
}

// argument: of the path, for messages. usual: one row, for files that do not say; columns of tables
// are taken for what they were in the data that the model was trained on. Throws Error{kUsage}, or
// what open_dataset throws.
std::unique_ptr<Dataset> open_input(const char* argument, const char* path, const GivenInput& given,
                                    const ModelFile& model, const TensorDesc& usual,
                                    RowsAre rows = RowsAre::kData);

}  // namespace diabolo::capi
