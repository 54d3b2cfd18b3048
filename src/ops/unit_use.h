// unit_use: which units of sparse codes are used.
#pragma once

#include "ops/op.h"

namespace diabolo {

// code T[B,…], idle A[width] -> next A[width], active A[1], dead A[1]: rows since each unit was
// last used, numbers other than 0 a row, share of units not used for `limit` rows.
struct UnitUseAttrs {
  float limit = 1;
};
extern const OpDef kUnitUse;

}  // namespace diabolo
