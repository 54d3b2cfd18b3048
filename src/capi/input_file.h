// Data files that come in through the C interface by path.
#pragma once

#include <array>
#include <memory>

#include "base/tensor.h"
#include "data/dataset.h"
#include "diabolo/diabolo.h"
#include "jobs/open.h"
#include "model/model_file.h"

namespace diabolo::capi {

// The fields that several structs have; `name` is the struct's, for messages.
struct GivenInput {
  // A text that sets a key of the configuration; null: not given.
  struct Text {
    const char* field;
    const char* key;
    const char* text;
  };

  const char* name = nullptr;
  diabolo_dtype dtype = 0;
  uint32_t rank = 0;
  const uint64_t* shape = nullptr;  // of one row
  std::array<Text, 6> texts = {};

  // The first field that is set, or null.
  const char* first_set() const;
};

template <class Options>
GivenInput given_input(const char* name, const Options& options) {
  return {name,
          options.input_dtype,
          options.input_rank,
          options.input_shape,
          {{{"input_format", "data.format", options.input_format},
            {"input_label_column", "data.label_column", options.input_label_column},
            {"input_id_column", "data.id_column", options.input_id_column},
            {"input_drop_columns", "data.drop_columns", options.input_drop_columns},
            {"input_header", "data.header", options.input_header},
            {"input_separator", "data.separator", options.input_separator}}}};
}

// argument: of the path, for messages. usual: one row, for files that do not say; columns of tables
// are taken for what they were in the data that the model was trained on. Throws Error{kUsage}, or
// what open_dataset throws.
std::unique_ptr<Dataset> open_input(const char* argument, const char* path, const GivenInput& given,
                                    const ModelFile& model, const TensorDesc& usual,
                                    RowsAre rows = RowsAre::kData);

}  // namespace diabolo::capi
