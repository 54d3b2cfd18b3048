// XXH3 with 128 bits: finds damage, does not prove who wrote something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace diabolo {

struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;

  std::string hex() const;  // 32 lower-case digits, high half first (xxh128sum's order)
  bool operator==(const Hash128&) const = default;
};

// Hashes a sequence of bytes; how it is cut into updates does not matter.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  Hash128 digest() const;  // of all updates so far; more may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Hash128 hash_of(std::span<const std::byte> bytes);
Hash128 hash_of(std::string_view text);

}  // namespace diabolo
