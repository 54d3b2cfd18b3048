// CSV files, plain and compressed.
#include "fuzz/fuzz_dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  diabolo::fuzz::fuzz_format(diabolo::fuzz::text_of(data, size), "csv");
  return 0;
}
