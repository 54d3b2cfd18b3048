#include "data/file_stamp.h"

#include <filesystem>

#include "base/file.h"

namespace diabolo {
namespace {

constexpr uint64_t kSlowBytes = uint64_t{1} << 30;

bool has_size(const File& file, const FileStamp& stamp) {
  return stamp.content.starts_with(cat(file.size_bytes(), ":"));
}

}  // namespace

KnownFile stamp_of(const Dataset& data, const Log& log, const KnownFile& known) {
  if (data.identity().empty() || !path_exists(data.name())) return {};
  const File file = File::open(data.name());
  if (!file.is_regular() || file.identity() != data.identity()) return {};
  const std::filesystem::path absolute = std::filesystem::absolute(data.name());
  const std::string path = absolute.lexically_normal().string();
  if (known.identity == data.identity() && known.stamp.path == path) return known;
  if (file.size_bytes() >= kSlowBytes)
    log.info(path, ": is read once more, for the hash by which the model knows it again");
  return {{path, file.content_identity()}, data.identity()};
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
