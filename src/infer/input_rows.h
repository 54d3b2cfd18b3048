// Rows of a call on their way to where a plan reads them: scaled, as they are, or as integers.
#pragma once

#include <span>

#include "infer/inference.h"

namespace diabolo {

// What becomes of the rows of one input.
struct InputWay {
  const TaskInput& input;
  DType type;                        // as the plan reads them: f32 or integers (raw bytes aside)
  uint64_t width;                    // numbers of a row
  const Scaling* scaling = nullptr;  // of rows of data and codes that are floats
  uint64_t values = 0;               // of integers, if not all that the type holds

  const char* what() const { return input.is_codes ? "codes" : name(input.role); }
};

Source source_of(const Task& task, std::span<const RawRows> in);

// Rows [first, first + count) of the call.
void fill_rows(const RawRows& in, Source source, const InputWay& way, uint64_t first,
               uint64_t count, void* staging, RowWatch& watch);

}  // namespace diabolo
