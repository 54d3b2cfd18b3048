#include "data/source.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace diabolo {

ByteSource ByteSource::open(const std::string& path, FileSystem* fs) {
  ByteSource source(File::open(path, {.code = ErrorCode::kData, .fs = fs}));
  source.head_.resize(kHeadBytes);
  if (source.is_stream()) {
    source.head_.resize(source.file_.read(source.head_));
  } else {
    source.head_.resize(std::min<uint64_t>(kHeadBytes, source.file_.size_bytes()));
    source.file_.pread(0, source.head_);
  }
  return source;
}

bool ByteSource::is_called(std::string_view end) const {
  const auto is_same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == static_cast<unsigned char>(b);
  };
  if (name().size() < end.size()) return false;
  return std::equal(end.begin(), end.end(), name().end() - static_cast<ptrdiff_t>(end.size()),
                    [&](char b, char a) { return is_same(a, b); });
}

std::optional<uint64_t> ByteSource::size_bytes() const {
  if (is_stream()) return std::nullopt;
  return file_.size_bytes();
}

size_t ByteSource::read(std::span<std::byte> destination) {
  size_t done = 0;
  if (!is_stream()) {
    done = std::min<uint64_t>(destination.size(), file_.size_bytes() - position_);
    file_.pread(position_, destination.first(done));
  } else {
    if (position_ < head_.size()) {
      done = std::min<uint64_t>(destination.size(), head_.size() - position_);
      std::memcpy(destination.data(), head_.data() + position_, done);
    }
    done += file_.read(destination.subspan(done));
  }
  position_ += done;
  return done;
}

void ByteSource::next(std::span<std::byte> destination, const char* what) {
  const size_t done = read(destination);
  if (done < destination.size())
    fail(cat("ends within its ", what, ", at byte ", position_, "; it is cut off"));
}

}  // namespace diabolo
