#!/usr/bin/env bash
# What the library exports is what diabolo.h declares: no more, no less.
#
#   tests/capi/exports_test.sh LIBRARY HEADER
set -euo pipefail
exported=$(nm -D --defined-only "$1" | awk '{print $NF}' | sort)
declared=$(grep -v '^#' "$2" | grep -A2 '^DIABOLO_API' | grep -oE '\bdiabolo_[a-z_]+\(' | tr -d '(' | sort)
[ -n "$declared" ]
diff <(echo "$declared") <(echo "$exported")
