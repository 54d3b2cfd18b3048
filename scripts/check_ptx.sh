#!/usr/bin/env bash
# The instructions that the CUDA kernels are written for must be in their PTX and in the machine code
# of sm_80 and sm_90a: a verb that silently fell back to plain code would pass every test.
#
#   scripts/check_ptx.sh        needs nvcc; cuobjdump: $CUOBJDUMP, from PATH, beside nvcc, or from PyPI
#                               into build/cuobjdump; without one the machine code is left out
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=$PWD/build/cuobjdump
failed=0

# The path of a cuobjdump, with nvdisasm beside it; some toolkits come without them.
find_cuobjdump() {
  local found
  for found in "${CUOBJDUMP:-}" "$(command -v cuobjdump)" "$(dirname "$(command -v nvcc)")/cuobjdump" \
    "$tools/nvidia/cu13/bin/cuobjdump"; do
    [ -x "$found" ] && echo "$found" && return
  done
  [ -z "${DIABOLO_SKIP_INSTALL:-}" ] || return 0
  python3 -m pip install -q --root-user-action=ignore --no-deps --target "$tools" \
    'nvidia-cuda-cuobjdump==13.*' 'nvidia-cuda-nvdisasm==13.*' >&2 &&
    echo "$found"
}

# look_for WHERE FILE INSTRUCTION...: FILE has each INSTRUCTION; a row for each.
look_for() {
  local where=$1 file=$2 instruction
  shift 2
  for instruction in "$@"; do
    printf '%-41s %-58s ' "$where" "$instruction"
    if grep -qF -- "$instruction" "$file"; then
      grep -cF -- "$instruction" "$file"
    else
      echo MISSING
      failed=1
    fi
  done
}

# expect SOURCE INSTRUCTION...: SOURCE's PTX for compute_80 has each INSTRUCTION.
expect() {
  local source=$1 ptx=$work/kernels.ptx
  shift
  nvcc -std=c++20 --expt-relaxed-constexpr -I. -Itests -arch=compute_80 --ptx "$source" -o "$ptx"
  look_for "$source" "$ptx" "$@"
}

# expect_sass SOURCE INSTRUCTION...: so has its machine code, for either of two generations.
expect_sass() {
  local source=$1 object=$work/kernels.o arch cuobjdump
  shift
  cuobjdump=$(find_cuobjdump || true)
  if [ ! -x "$cuobjdump" ]; then
    echo "no cuobjdump: the machine code was not looked at"
    return
  fi
  nvcc -std=c++20 --expt-relaxed-constexpr -I. -gencode arch=compute_80,code=sm_80 \
    -gencode arch=compute_90a,code=sm_90a -t 2 -c "$source" -o "$object"
  for arch in sm_80 sm_90a; do
    PATH=$PATH:$(dirname "$cuobjdump") "$cuobjdump" -sass -arch "$arch" "$object" >"$work/$arch.sass"
    look_for "$source $arch" "$work/$arch.sass" "$@"
  done
}

expect tests/cuda_host/verb_kernels.cu \
  cp.async.ca.shared.global cp.async.cg.shared.global cp.async.commit_group cp.async.wait_group \
  ldmatrix.sync.aligned.m8n8.x1.shared.b16 ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 \
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 \
  mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 \
  mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 \
  cvt.rn.bf16x2.f32 cvt.rna.tf32.f32 shfl.sync.bfly.b32
expect kernels/cuda/dense_weight_grad.cu \
  cp.async.cg.shared.global cp.async.wait_group ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 \
  mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 \
  mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 fma.rn.f32 ld.shared.v4 st.global.v4
# Epilogues: 16 bytes a store, and a load of 16 bytes for each row that a thread has of a slab.
for op in forward data_grad loss; do
  expect kernels/cuda/dense_$op.cu st.global.v4.u32 ld.global.v4
done
# Tensor core products, asynchronous copies of 16 bytes past the first-level cache, matrix loads.
expect_sass kernels/cuda/dense_weight_grad.cu \
  HMMA.16816.F32.BF16 HMMA.1688.F32.TF32 LDGSTS.E.BYPASS.128 LDGDEPBAR LDSM.16.MT88.4 FFMA STG.E.128
exit "$failed"
