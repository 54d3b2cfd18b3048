#include "run/file_stamp.h"

#include <filesystem>

#include "base/file.h"

namespace diabolo {
namespace {

bool has_size(const File& file, const FileStamp& stamp) {
  return stamp.content.starts_with(cat(file.size_bytes(), ":"));
}

}  // namespace

FileStamp stamp_of(const Dataset& data) {
  if (data.identity().empty() || !path_exists(data.name())) return {};
  const File file = File::open(data.name());
  if (!file.is_regular() || file.identity() != data.identity()) return {};
  const std::filesystem::path path = std::filesystem::absolute(data.name());
  return {path.lexically_normal().string(), file.content_identity()};
}

std::string why_not_usable(const FileStamp& stamp) {
  if (stamp.path.empty()) return "the model does not say which file it was trained on";
  try {
    if (!path_exists(stamp.path)) return stamp.path + " is not there";
    const File file = File::open(stamp.path);
    if (!file.is_regular()) return stamp.path + " is not a file";
    if (has_size(file, stamp) && file.content_identity() == stamp.content) return {};
  } catch (const Error& error) {
    return error.what();
  }
  return stamp.path + " is not the file that the model was trained on: its content is another";
}

}  // namespace diabolo
