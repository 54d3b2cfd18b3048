#!/usr/bin/env bash
# Everything that needs a GPU, in one go: from a source tree (builds first) or from a bundle.
#
#   scripts/gpu_check.sh [PART...]      parts: correctness sanitizer ceilings dense dense_f32 (default: all)
#
# Needs a driver; for the peers python3 with torch (and jax). Says plainly what is missing. Each
# part ends with a short table; all go into one JSON, $OUT/gpu-check.json, of some parts only
# $OUT/gpu-check-PART-PART.json, written anew after each (OUT defaults to bench/results, in a bundle to
# results). Exit status 1 if a check failed.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
if [ -f COMMIT ]; then
  commit=$(cat COMMIT); bin=$top/bin; data=$top/data; out=${OUT:-$top/results}
  [ -d "$bin" ] || tar -xzf bin.tar.gz || exit 1
else
  commit=$(git rev-parse --short HEAD); bin=$top/build/cuda-quick; out=${OUT:-$top/bench/results}
  data=/usr/share/datasets/fashion-mnist
  arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
  [ "${arch:-}" = 90 ] && arch=90a
  cmake --preset cuda-quick -DDIABOLO_BENCH=ON -DCMAKE_CUDA_ARCHITECTURES="${arch:-90a}-real" \
    > /dev/null && cmake --build --preset cuda-quick > /dev/null || exit 1
fi
# What a toolkit brings, if the machine does not know it: beside nvcc, or as PyTorch brings it.
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
mapfile -t toolkits < <(dirname "$(dirname "$nvcc")"; python3 -c '
import nvidia
for place in nvidia.__path__:
    print(place + "/cu13", place + "/cublas", place, sep="\n")' 2> /dev/null)
# cuBLASLt. The peers are left with the libraries that they would take anyway.
peers=(env ${LD_LIBRARY_PATH+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"})
[ -n "${LD_LIBRARY_PATH+set}" ] || peers=(env -u LD_LIBRARY_PATH)
for place in "${toolkits[@]/%//lib64}" "${toolkits[@]/%//lib}"; do
  if [ -e "$place/libcublasLt.so.13" ] || [ -e "$place/libcublasLt.so.12" ]; then
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$place
  fi
done
parts=("$@")
json_name=gpu-check${*:+-$(IFS=-; echo "$*")}.json
[ ${#parts[@]} -gt 0 ] || parts=(correctness sanitizer ceilings dense dense_f32)
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=$work/rows.tsv
failed=0
limit_s=300  # of one command; a part is to end within six minutes
export DIABOLO_REQUIRE_CUDA=1

# row PART NAME VALUE UNIT VERDICT
row() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >> "$rows"; [ "$5" = FAIL ] && failed=1; return 0; }

# check NAME COMMAND...: a row that says how long it took and whether it passed.
check() {
  local name=$1 began=$SECONDS status=0; shift
  timeout "$limit_s" "$@" > "$work/log" 2>&1 || status=$?
  [ "$status" = 124 ] && name="$name (not done in $limit_s s)"
  if [ "$status" = 0 ]; then
    row "$part" "$name" $((SECONDS - began)) s ok
  else
    row "$part" "$name" $((SECONDS - began)) s FAIL
    tail -n 15 "$work/log" >&2
  fi
}

json_field() {  # json_field OBJECT KEY < file: the number of KEY in OBJECT, which holds no others
  grep -o "\"$1\":{[^}]*}" | grep -o "\"$2\":[^,}]*" | cut -d: -f2
}

# Whether cuBLASLt was found: its kernels are then in the ladder and the selftest.
report_cublaslt() {
  "$bin/diabolo" selftest --device cuda --filter 'f32 64x64x64' > "$work/log" 2>&1
  if grep -q 'dense_forward.cublaslt_f32 .* skip ' "$work/log"; then
    row correctness "libcublasLt.so.13 or .12" missing "" skipped
  else
    row correctness "libcublasLt.so.13 or .12" found "" ok
  fi
}

# trained PRECISION LIMIT: the dense preset trained into $work/PRECISION, its test error at most LIMIT.
trained() {
  local run=$work/$1 limit=$2 mse verdict=FAIL
  check "train dense, $1" "$bin/diabolo" train "$data/train-images-idx3-ubyte.gz" --preset dense \
    --precision "$1" --device cuda --seed 0 -o "$run" --progress none
  "$bin/diabolo" evaluate "$run" "$data/t10k-images-idx3-ubyte.gz" --json \
    --pca-from "$data/train-images-idx3-ubyte.gz" --device cuda > "$work/eval.json" 2> "$work/log"
  mse=$(json_field reconstruction mse < "$work/eval.json")
  awk -v mse="${mse:-1}" -v limit="$limit" 'BEGIN {exit !(mse <= limit)}' && verdict=ok
  row correctness "test MSE after 20 epochs, $1, one seed" "$(printf %.6f "${mse:-1}")" \
    "at most $limit" $verdict
}

part_correctness() {
  check "verbs, native against host halves" "$bin/cuda_verbs_native_test" --gtest_brief=1
  check "products against the reference" "$bin/cuda_dense_native_test" --gtest_brief=1
  check "other kernels against the reference" "$bin/cuda_flat_native_test" --gtest_brief=1
  check "mathematics against the C library" "$bin/cuda_math_native_test" --gtest_brief=1
  check "ladder, every CUDA kernel" "$bin/ladder_test" --gtest_brief=1
  check "selftest" "$bin/diabolo" selftest --device cuda
  report_cublaslt
  check "beyond 2^31 elements" "$bin/huge_test" --gtest_brief=1
  trained f32 0.00985
  trained bf16 0.0100  # three seeds on a CPU: 0.0092 to 0.0097
  for device in cuda cpu; do
    "$bin/diabolo" encode "$work/f32" "$data/t10k-images-idx3-ubyte.gz" --device $device \
      -o "$work/codes-$device.raw" --progress none > /dev/null 2> "$work/log"
  done
  local difference verdict=FAIL
  difference=$(paste <(od -An -v -w4 -tf4 "$work/codes-cuda.raw") \
                     <(od -An -v -w4 -tf4 "$work/codes-cpu.raw") |
    awk '{d = $1 - $2; if (d < 0) d = -d; if (d > m) m = d; a = $2 < 0 ? -$2 : $2;
          if (a > s) s = a} END {printf("%.3g", (s > 0) ? m / s : 1)}')
  awk -v d="$difference" 'BEGIN {exit !(d < 1e-4)}' && verdict=ok
  row correctness "codes, GPU against CPU, of the largest" "$difference" "at most 1e-4" $verdict
}

part_sanitizer() {
  local tool
  tool=$(command -v "${COMPUTE_SANITIZER:-compute-sanitizer}" "${toolkits[@]/%//bin/compute-sanitizer}" \
    "${toolkits[@]/%//compute-sanitizer/compute-sanitizer}" | head -n 1)
  if [ -z "$tool" ]; then
    row sanitizer "compute-sanitizer" missing "" skipped
    return
  fi
  local limit_s=88
  for kind in memcheck racecheck initcheck synccheck; do
    check "$kind" "$tool" --tool "$kind" --error-exitcode 9 \
      "$bin/diabolo" selftest --device cuda --quick
  done
}

bench() {  # bench PROGRAM FILTER: rows of a Google Benchmark program
  if ! timeout 300 "$bin/$1" --device cuda --benchmark_filter="$2" --benchmark_format=json \
      --benchmark_min_time=0.5 > "$work/bench.json" 2> "$work/log"; then
    row "$part" "$1 $2" "" "" FAIL
    tail -n 5 "$work/log" >&2
    return
  fi
  awk -v part="$part" '
    /"name":/        {gsub(/[",]/, ""); sub(/^ *name: /, ""); sub(/\/real_time.*/, ""); name = $0}
    /"samples_per_s":|"bytes":|"flops":|"first_loss":|"step_s":|"run_s":/ {
      gsub(/[",:]/, " "); printf "%s\t%s\t%.5g\t%s\tok\n", part, "diabolo " name, $2, $1}
  ' "$work/bench.json" >> "$rows"
}

part_ceilings() {
  bench op_bench '^adam/'
  bench op_bench '^product/'
  if python3 -c 'import torch' 2> /dev/null; then
    timeout 200 "${peers[@]}" python3 "$top/bench/baselines/ceilings.py" 2> "$work/log" > "$work/ceilings.tsv"
    awk -F'\t' '{printf "ceilings\t%s\t%.5g\t%s\tok\n", $1, $2, $3}' "$work/ceilings.tsv" >> "$rows"
    [ -s "$work/ceilings.tsv" ] || row ceilings "ceilings.py: $(tail -n 1 "$work/log")" none "" FAIL
  else
    row ceilings "python3 with torch" missing "" skipped
  fi
}

# compare PRECISION: ours beside the peers, interleaved, three rounds if there is time.
compare() {
  local precision=$1
  if ! python3 -c 'import torch' 2> /dev/null; then
    row "$part" "python3 with torch" missing "" skipped
    bench train_bench "^train/dense64/$precision/"
    bench encode_bench "^(score|encode_resident)/dense64/$precision/"
    return
  fi
  timeout 340 "${peers[@]}" python3 "$top/bench/compare.py" --device cuda --bin "$bin" --precisions "$precision" \
    --implementations eager jax graph --peer python3 --seconds 0.7 --prepare 180 --budget 260 \
    --out "$out/$part-$(date -u +%F).json" --tsv "$work/compare.tsv" > "$work/log" 2>&1
  if [ -s "$work/compare.tsv" ]; then
    sed "s/^/$part\t/" "$work/compare.tsv" >> "$rows"
    grep -q FAIL "$work/compare.tsv" && failed=1
  else
    row "$part" "compare.py" "" "" FAIL
    tail -n 5 "$work/log" >&2
  fi
}

part_dense() { compare bf16; }
part_dense_f32() { compare f32; }

write_json() {
  local name driver
  name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1)
  driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2> /dev/null | head -1)
  {
    printf '{"device": "%s", "driver": "%s", "commit": "%s", "date": "%s",\n "rows": [\n' \
      "${name:-none}" "${driver:-none}" "$commit" "$(date -u +%FT%TZ)"
    awk -F'\t' '{gsub(/["\\]/, "_"); printf("%s  {\"part\": \"%s\", \"name\": \"%s\", \"value\": \"%s\", \"unit\": \"%s\", \"verdict\": \"%s\"}",
                 (NR > 1) ? ",\n" : "", $1, $2, $3, $4, $5)} END {print "\n]}"}' "$rows"
  } > "$out/$json_name"
}

if ! "$bin/diabolo" devices 2> /dev/null | grep -q '^cuda:[0-9]'; then
  echo "gpu_check: no CUDA device here:" >&2
  "$bin/diabolo" devices >&2
  exit 6
fi
: > "$rows"
for part in "${parts[@]}"; do
  if ! declare -F "part_$part" > /dev/null; then
    echo "gpu_check: no part $part (correctness, sanitizer, ceilings, dense, dense_f32)" >&2
    exit 2
  fi
  began=$SECONDS
  "part_$part"
  echo "== $part: $((SECONDS - began)) s"
  awk -F'\t' -v part="$part" '$1 == part {printf "%-52s %14s %-16s %s\n", $2, $3, $4, $5}' "$rows"
  write_json
done
echo "wrote $out/$json_name"
exit $failed
