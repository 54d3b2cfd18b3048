#include "jobs/output_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/file_calls.h"
#include "base/file_writer.h"
#include "data/npy_header.h"
#include "jobs/row_output.h"
#include "train/run_directory.h"

namespace diabolo {
namespace {

constexpr uint64_t kPrefixBytes = 10;  // magic, version 1.0, length of the dictionary

[[noreturn]] void refuse(const std::string& path, const char* what) {
  throw Error(ErrorCode::kUsage,
              cat(path, ": is ", what, ", which would be replaced; choose another output"));
}

// The names that a run writes, removes or replaces.
std::vector<std::string> names_of(const std::string& output) {
  const std::string list = list_path(output);
  return {output, output + ".partial", output + ".partial.journal", list, list + ".partial"};
}

// Bytes of the header of what may be a list, as this program writes it: .npy 1.0, u64. Zero: none.
// `rows`: what the header counts.
uint64_t list_header_bytes(const File& file, uint64_t& rows) {
  std::array<std::byte, kPrefixBytes> prefix{};
  if (!file.is_regular() || file.size_bytes() < prefix.size()) return 0;
  file.pread(0, prefix);
  if (std::memcmp(prefix.data(), kNpyMagic.data(), kNpyMagic.size()) != 0) return 0;
  if (prefix[6] != std::byte{1} || prefix[7] != std::byte{0}) return 0;
  const auto length =
      std::to_integer<uint64_t>(prefix[8]) | (std::to_integer<uint64_t>(prefix[9]) << 8);
  if (file.size_bytes() < prefix.size() + length) return 0;
  std::string text(length, '\0');
  file.pread(prefix.size(), std::as_writable_bytes(std::span(text)));
  const NpyHeader header = parse_npy_header(file.name(), text);
  if (header.dtype != DType::kU64 || header.order != ByteOrder::kLittle ||
      header.extents.size() != 1)
    return 0;
  rows = header.extents.front();
  return prefix.size() + length;
}

// Row numbers rise.
bool is_ascending(const File& file, uint64_t offset, uint64_t count) {
  std::vector<uint64_t> block(uint64_t{64} << 10);
  uint64_t least = 0;
  for (uint64_t done = 0; done < count;) {
    const auto some = std::span(block).first(std::min<uint64_t>(block.size(), count - done));
    file.pread(offset + done * sizeof(uint64_t), std::as_writable_bytes(some));
    for (const uint64_t number : some) {
      if (number < least) return false;
      least = number + 1;
    }
    done += some.size();
  }
  return true;
}

// Whether a file is a list of kept rows; `is_whole`: not one under way, whose header counts no row
// yet and whose last number may be cut off.
bool is_row_list(const std::string& path, bool is_whole, FileSystem& fs) {
  try {
    const File file = File::open(path, {.fs = &fs});
    if (!is_whole && file.is_regular() && file.size_bytes() == 0) return true;
    uint64_t rows = 0;
    const uint64_t header = list_header_bytes(file, rows);
    if (header == 0) return false;
    const uint64_t bytes = file.size_bytes() - header;
    if (!is_whole) return true;
    return bytes % sizeof(uint64_t) == 0 && bytes / sizeof(uint64_t) == rows &&
           is_ascending(file, header, rows);
  } catch (const Error&) {
    return false;
  }
}

void require_list_or_nothing(const std::string& path, bool is_whole, FileSystem& fs) {
  struct stat info {};
  if (fs.stat(path.c_str(), &info) != 0) return;
  if (is_row_list(path, is_whole, fs)) return;
  throw Error(
      ErrorCode::kUsage,
      cat(path, ": is not a list of rows that diabolo wrote, whose place this is; move it, ",
          "or choose another output"));
}

}  // namespace

void require_output_is_free(const std::string& output, const std::string& input,
                            const std::string& model, FileSystem& fs) {
  for (const std::string& name : names_of(output)) {
    if (is_same_file(input, name, fs)) refuse(name, "the input itself");
    if (!model.empty() && is_same_file(model, name, fs)) refuse(name, "the model itself");
    if (!model.empty() && is_file_of_run(RunDirectory{parent_folder(model)}, name, fs))
      refuse(name, "a file of the run directory that holds the model");
  }
  if (is_stream_path(output, fs)) return;
  require_list_or_nothing(list_path(output), true, fs);
  require_list_or_nothing(list_path(output) + ".partial", false, fs);
}

}  // namespace diabolo
