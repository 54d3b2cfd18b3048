// Runs a fuzz target over its seeds, over every truncation of them and over every flipped bit of
// the small ones, so that targets and seeds stay alive where there is no fuzzer.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"

namespace {

constexpr size_t kSmallBytes = 300;

void run(const std::string& input) {
  // A copy of the exact size, so that a sanitizer sees reads beyond it.
  const std::vector<uint8_t> exact(input.begin(), input.end());
  ASSERT_EQ(LLVMFuzzerTestOneInput(exact.data(), exact.size()), 0);
}

TEST(FuzzTest, SeedsAndTheirNeighbours) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(DIABOLO_FUZZ_CORPUS))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  ASSERT_GE(paths.size(), 5u) << DIABOLO_FUZZ_CORPUS;
  for (const auto& path : paths) {
    SCOPED_TRACE(path);
    std::ifstream in(path, std::ios::binary);
    std::string seed{std::istreambuf_iterator<char>(in), {}};
    for (size_t size = 0; size <= std::min(seed.size(), 2 * kSmallBytes); ++size)
      run(seed.substr(0, size));
    run(seed);
    for (size_t bit = 0; bit < std::min(seed.size(), kSmallBytes) * 8; ++bit) {
      const char mask = static_cast<char>(1 << (bit % 8));
      seed[bit / 8] = static_cast<char>(seed[bit / 8] ^ mask);
      run(seed);
      seed[bit / 8] = static_cast<char>(seed[bit / 8] ^ mask);
    }
  }
}

}  // namespace
