// Safetensors files. The header's hash would stop every changed input at the door, so it is put
// right first; each input is also tried as it is.
#include <string>

#include "base/memory_file_system.h"
#include "fuzz/fuzz.h"
#include "model/safetensors.h"
#include "model/safetensors_format.h"

namespace diabolo::fuzz {
namespace {

void open_and_read(std::string_view content, SafetensorsOptions options) {
  const auto action = [&] {
    testing::MemoryFileSystem fs(content);
    options.fs = &fs;
    const auto file = SafetensorsFile::open("input", options);
    std::vector<std::byte> bytes;
    for (const auto& tensor : file.tensors()) {
      bytes.resize(tensor.desc.bytes());
      file.read(tensor, bytes);
    }
    file.verify();
    file.content_hash();
  };
  expect_clean(action, ErrorCode::kModel, ErrorCode::kModel);
}

std::string with_right_hash(std::string_view content) {
  std::string text(content);
  const std::string header = text.substr(std::min(kLengthBytes, text.size()));
  if (!header.starts_with(kHashPrefix) || header.size() < kHashPrefix.size() + kHashDigits)
    return text;
  uint64_t header_bytes = 0;
  for (size_t i = kLengthBytes; i-- > 0;)
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(text[i]);
  const std::string hash = header_hash(header.substr(0, std::min(header_bytes, header.size())));
  if (!hash.empty()) text.replace(kLengthBytes + kHashPrefix.size(), kHashDigits, hash);
  return text;
}

}  // namespace
}  // namespace diabolo::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diabolo::fuzz;  // NOLINT: this is its only user
  const std::string_view content = text_of(data, size);
  open_and_read(content, {});
  open_and_read(content, {.allow_unverified = true});
  open_and_read(with_right_hash(content), {});
  return 0;
}
