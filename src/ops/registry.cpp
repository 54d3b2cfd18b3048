#include "ops/registry.h"

#include <array>

namespace diabolo {

#define DIABOLO_DECLARE(Name) extern const OpDef k##Name;
DIABOLO_OPS(DIABOLO_DECLARE)

std::span<const OpDef* const> all_ops() {
#define DIABOLO_ADDRESS(Name) &k##Name,
  static constexpr std::array kOps = {DIABOLO_OPS(DIABOLO_ADDRESS)};
  return kOps;
}

}  // namespace diabolo
