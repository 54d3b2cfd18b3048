// Data files built byte by byte, right and wrong ones.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace diabolo::testing {

inline std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}
inline std::string big(uint64_t value, int bytes) {
  const std::string text = little(value, bytes);
  return {text.rbegin(), text.rend()};
}

// A .npy file with the given dictionary, whatever it says, and content.
inline std::string npy_with(const std::string& dictionary, const std::string& content,
                            int major = 1) {
  std::string header = dictionary;
  const size_t fixed = major == 1 ? 10 : 12;
  while ((fixed + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  return "\x93NUMPY" + std::string{static_cast<char>(major), '\0'} +
         little(header.size(), major == 1 ? 2 : 4) + header + content;
}

inline std::string npy(const std::string& descr, const std::string& order, const std::string& shape,
                       const std::string& content, int major = 1) {
  return npy_with(
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }",
      content, major);
}

inline std::string idx(int type, std::initializer_list<uint32_t> extents,
                       const std::string& content) {
  std::string text = {'\0', '\0', static_cast<char>(type), static_cast<char>(extents.size())};
  for (const uint32_t extent : extents) text += big(extent, 4);
  return text + content;
}

inline std::string gzipped(const std::string& content, int level = 6) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string out(deflateBound(&stream, content.size()) + 64, '\0');
  std::string in = content;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// count bytes 0, 1, 2 ...
inline std::string counting(size_t count) {
  std::string text(count, '\0');
  for (size_t i = 0; i < count; ++i) text[i] = static_cast<char>(i);
  return text;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string text(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(text.data(), values.data(), text.size());
  return text;
}

}  // namespace diabolo::testing
