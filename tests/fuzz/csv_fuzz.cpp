// CSV files, plain and compressed.
#include "fuzz/fuzz_dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content = diabolo::fuzz::text_of(data, size);
  diabolo::fuzz::fuzz_format(content, "csv");
  diabolo::fuzz::fuzz_table(content, "csv");
  return 0;
}
