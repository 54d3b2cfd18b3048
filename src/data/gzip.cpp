#include "data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <vector>

#include "base/error.h"

namespace diabolo {
namespace {

constexpr int kGzipWindow = 16 + MAX_WBITS;
constexpr size_t kInputBytes = 64 << 10;
constexpr size_t kMaxOutputBytes = 1 << 30;  // zlib counts in 32 bits

}  // namespace

struct GzipReader::State {
  z_stream stream{};
  std::vector<std::byte> input;
  uint64_t offset = 0;     // of the next input
  bool is_at_end = false;  // of a member, what follows not looked at
};

bool is_gzip(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{0x1f} && head[1] == std::byte{0x8b};
}

GzipReader::GzipReader(const ByteSource& source)
    : source_(source), state_(std::make_unique<State>()) {
  state_->input.resize(std::min<uint64_t>(kInputBytes, *source.size_bytes()));
  if (inflateInit2(&state_->stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
}

GzipReader::~GzipReader() {
  inflateEnd(&state_->stream);
}

// False at the end of the file.
bool GzipReader::refill() {
  State& state = *state_;
  if (state.stream.avail_in > 0) return true;
  const uint64_t rest = *source_.size_bytes() - state.offset;
  const auto part = std::span(state.input).first(std::min<uint64_t>(rest, state.input.size()));
  if (part.empty()) return false;
  source_.pread(state.offset, part);
  state.offset += part.size();
  state.stream.next_in = reinterpret_cast<Bytef*>(part.data());
  state.stream.avail_in = static_cast<uInt>(part.size());
  return true;
}

// After a member: true where another one follows. What is padded to blocks (tar, tapes) has zeros
// there, as gzip -t takes them; zeros and then something else is not.
bool GzipReader::goes_on() {
  const auto is_zero = [&] { return *state_->stream.next_in == 0; };
  if (!refill()) return false;
  if (!is_zero()) return true;
  do {
    if (!is_zero()) source_.fail("is damaged: it has bytes after its end that are not padding");
    ++state_->stream.next_in;
    --state_->stream.avail_in;
  } while (refill());
  return false;
}

size_t GzipReader::read(std::span<std::byte> destination) {
  State& state = *state_;
  size_t done = 0;
  while (done < destination.size()) {
    if (state.is_at_end && !goes_on()) break;
    if (!refill()) source_.fail("ends within its compressed data; it is cut off");
    if (state.is_at_end && inflateReset(&state.stream) != Z_OK) throw std::bad_alloc();
    state.is_at_end = false;
    const size_t some = std::min(destination.size() - done, kMaxOutputBytes);
    state.stream.next_out = reinterpret_cast<Bytef*>(destination.data() + done);
    state.stream.avail_out = static_cast<uInt>(some);
    const int status = inflate(&state.stream, Z_NO_FLUSH);
    done += some - state.stream.avail_out;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) {
      state.is_at_end = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      source_.fail(cat("is damaged: ", state.stream.msg ? state.stream.msg : "not gzip data"));
    }
  }
  return done;
}

void GzipReader::next(std::span<std::byte> destination, const char* what) {
  if (read(destination) < destination.size())
    source_.fail(cat("its compressed content ends within its ", what, "; it is cut off"));
}

void GzipReader::expect_end() {
  std::byte extra{};
  if (read({&extra, 1}) != 0) source_.fail("its compressed content goes on after its last row");
}

}  // namespace diabolo
