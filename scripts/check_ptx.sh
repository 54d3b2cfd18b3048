#!/usr/bin/env bash
# The instructions that the verbs are written for must be in their PTX, and the wide accesses of the
# dense ops in theirs: a verb that silently fell back to plain code would pass every test. What
# becomes of it in machine code, for every kernel: scripts/check_sass.py.
#
#   scripts/check_ptx.sh        needs nvcc
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect SOURCE INSTRUCTION...: SOURCE's PTX for compute_80 has each INSTRUCTION; a row for each.
expect() {
  local source=$1 ptx=$work/kernels.ptx instruction
  shift
  nvcc -std=c++20 --expt-relaxed-constexpr -I. -Itests -arch=compute_80 --ptx "$source" -o "$ptx"
  for instruction in "$@"; do
    printf '%-41s %-58s ' "$source" "$instruction"
    if grep -qF -- "$instruction" "$ptx"; then
      grep -cF -- "$instruction" "$ptx"
    else
      echo MISSING
      failed=1
    fi
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
for op in dense_loss optimizer; do
  expect kernels/cuda/$op.cu atom.acq_rel.gpu.global.inc.u32
done
# Epilogues: their stores and loads of 16 bytes are there (how many the rows count, nobody checks).
for op in forward data_grad loss; do
  expect kernels/cuda/dense_$op.cu st.global.v4.u32 ld.global.v4
done
exit "$failed"
