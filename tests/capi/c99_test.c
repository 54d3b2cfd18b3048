/* diabolo.h is C: this compiles as C99 with every warning an error, and runs. */
#include "diabolo/diabolo.h"

#include <string.h>

int main(void) {
  const float row[2] = {0, 0};
  const diabolo_rows rows = diabolo_rows_f32(row, 1, 2);
  float code = 0;
  if (diabolo_abi_version() != DIABOLO_ABI_VERSION) return 1;
  if (diabolo_encode(NULL, &rows, &code, 1) != DIABOLO_USAGE) return 2;
  if (strstr(diabolo_last_error(), "model") == NULL) return 3;
  return 0;
}
