#!/usr/bin/env bash
# Compares the fragment layouts of kernels/cuda/device/mma.cuh with CuTe's (tests/ptx/cute_layouts.cpp).
#
#   scripts/check_layouts.sh    needs the CUDA toolkit's headers, and CuTe's: from $CUTLASS_INCLUDE, or
#                               from PyPI into build/cutlass; without either a line says so
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
package=$PWD/build/cutlass
include=${CUTLASS_INCLUDE:-$package/cutlass_library/source/include}

if ! command -v nvcc >/dev/null; then
  echo "skipped: fragment layouts were not compared with CuTe's: this machine has no nvcc"
  exit 0
fi
if [ ! -d "$include/cute" ] && [ -z "${DIABOLO_SKIP_INSTALL:-}" ]; then
  python3 -m pip install -q --root-user-action=ignore --no-deps --target "$package" \
    'nvidia-cutlass==4.*' || true
fi
if [ ! -d "$include/cute" ]; then
  echo "skipped: fragment layouts were not compared with CuTe's: no nvidia-cutlass (PyPI)"
  exit 0
fi
toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")/include
mkdir -p build
g++ -std=c++20 -w -I. -isystem "$include" -isystem "$toolkit" -isystem "$toolkit/cccl" \
  tests/ptx/cute_layouts.cpp -o build/cute_layouts
build/cute_layouts
