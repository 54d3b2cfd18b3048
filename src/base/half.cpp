#include "base/half.h"

#include <bit>
#include <cstdint>

namespace diabolo {
namespace {

constexpr uint32_t kSign = 0x8000;
constexpr uint32_t kHalfInfinity = 0x7c00;

}  // namespace

float half_to_float(uint16_t half) {
  const uint32_t sign = (half & kSign) << 16;
  const uint32_t rest = half & 0x7fffu;
  if (rest >= kHalfInfinity)
    return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400) return std::bit_cast<float>(sign | ((rest << 13) + ((127u - 15u) << 23)));
  // Subnormal: rest counts units of 2^-24, which f32 holds exactly.
  const float magnitude = static_cast<float>(rest) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & kSign;
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
  // 65520 and more round up to infinity.
  if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | kHalfInfinity);
  if (rest >= 0x38800000u) {  // 2^-14: normal
    const uint32_t odd = (rest >> 13) & 1;
    return static_cast<uint16_t>(sign | ((rest - ((127u - 15u) << 23) + 0xfffu + odd) >> 13));
  }
  // Subnormal: with 0.5 added, f32's last bit weighs 2^-24, so that its addition does the rounding.
  const float shifted = std::bit_cast<float>(rest) + 0.5f;
  return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
}

}  // namespace diabolo
