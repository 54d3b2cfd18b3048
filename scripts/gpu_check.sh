#!/usr/bin/env bash
# Everything that needs a GPU, in one go: from a source tree (builds first) or from a bundle.
#
#   scripts/gpu_check.sh [PART...]      parts: correctness rows dense dense_f32 ladder ceilings sanitizer (default:
#                                       all, in this order: what a run that is cut must not lose comes first)
#   scripts/gpu_check.sh quick          what matters in one run of at most 7 minutes on 16 cores: all parts but
#                                       dense_f32, with the graph peer alone; what is not done by then is skipped
#
# With TIME_S set, nothing is begun after so many seconds, and what then runs is ended; quick: 400.
#
# Needs a driver; for the peers python3 with torch (and jax). Says plainly what is missing. Every result is a
# line as it comes and goes at once into one JSON, $OUT/gpu-check.json, of some parts only
# $OUT/gpu-check-PART-PART.json (OUT defaults to bench/results, in a bundle to results), so that a run that is
# cut leaves what it measured. A short table ends it. Exit status 1 if a check failed.
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
[ ${#parts[@]} -gt 0 ] || parts=(correctness rows dense dense_f32 ladder ceilings sanitizer)
limit_s=300  # of one command
deadline=$((SECONDS + ${TIME_S:-86400}))  # in seconds of this script, after which nothing is begun
rounds=3 compare_s=340 peers_ready_s=180 peer_names=(eager jax graph)
if [ "${parts[*]}" = quick ]; then
  parts=(correctness rows dense ladder ceilings sanitizer)
  deadline=$((SECONDS + ${TIME_S:-400})) limit_s=120
  compare_s=180 peers_ready_s=110 peer_names=(graph)
fi
jobs=${DIABOLO_JOBS:-$(nproc)}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=$work/rows.tsv
failed=0
export DIABOLO_REQUIRE_CUDA=1
device_name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2> /dev/null | head -1)

write_json() {
  {
    printf '{"device": "%s", "driver": "%s", "commit": "%s", "date": "%s",\n "rows": [\n' \
      "${device_name:-none}" "${driver:-none}" "$commit" "$(date -u +%FT%TZ)"
    awk -F'\t' '{gsub(/["\\]/, "_"); printf("%s  {\"part\": \"%s\", \"name\": \"%s\", \"value\": \"%s\", \"unit\": \"%s\", \"verdict\": \"%s\"}",
                 (NR > 1) ? ",\n" : "", $1, $2, $3, $4, $5)} END {print "\n]}"}' "$rows"
  } > "$out/$json_name.partial" && mv "$out/$json_name.partial" "$out/$json_name"
}

# row PART NAME VALUE UNIT VERDICT: said and kept at once.
row() {
  printf '%s\t%s\t%s\t%s\t%s\n' "$@" >> "$rows"
  printf '%4d s  %-52s %14s %-16s %s\n' "$SECONDS" "$2" "$3" "$4" "$5"
  [ "$5" = FAIL ] && failed=1
  write_json
}

seconds_left() { echo $((deadline > SECONDS ? deadline - SECONDS : 0)); }

# limit_of SECONDS: the same, or what is left of the time.
limit_of() { local left; left=$(seconds_left); echo $(($1 < left ? $1 : left)); }

# timed LOG SECONDS COMMAND...: its status, 125 where no time was left to begin it, 124 where it was ended:
# for good, 5 s after it was asked to (a kernel that hangs, a process that does not listen). 123: ended because
# the time of the whole run was up.
timed() {
  local log=$1 asked=$2 limit began=$SECONDS status=0; limit=$(limit_of "$2"); shift 2
  [ "$limit" -gt 0 ] || return 125
  timeout -k 5 "$limit" "$@" > "$log" 2>&1 || status=$?
  [ "$status" != 137 ] || [ $((SECONDS - began)) -lt "$limit" ] || status=124
  [ "$status" != 124 ] || [ "$limit" = "$asked" ] || status=123
  return "$status"
}

# judged NAME SECONDS STATUS LOG: a row that says how long it took and whether it passed.
judged() {
  case $3 in
    0) row "$part" "$1" "$2" s ok ;;
    125) row "$part" "$1" "" "no time left" skipped ;;
    123) row "$part" "$1 (not done when time was up)" "$2" s cut ;;
    124) row "$part" "$1 (not done in $2 s)" "$2" s FAIL ;;
    *) row "$part" "$1" "$2" s FAIL ;;
  esac
  case $3 in 0 | 125) ;; *) tail -n 15 "$4" >&2 ;; esac
}

check() {  # check NAME COMMAND...
  local name=$1 began=$SECONDS status=0; shift
  timed "$work/log" "$limit_s" "$@" || status=$?
  judged "$name" $((SECONDS - began)) "$status" "$work/log"
}

# begin NAME COMMAND...: the same beside what follows, until `finish`, which waits for all of them. Nothing
# that is measured may run meanwhile. `finish JUDGE` has another than `judged` say what became of them.
begun=()
begin() {
  local name=$1 log=$work/begun-${#begun[@]}; shift
  (
    began=$SECONDS status=0
    timed "$log" "$limit_s" "$@" || status=$?
    echo "$((SECONDS - began)) $status" > "$log.status"
  ) &
  begun+=("$!:$log:$name")
}
finish() {
  local one id log name took status
  for one in "${begun[@]}"; do
    IFS=: read -r id log name <<< "$one"
    wait "$id"
    read -r took status < "$log.status"
    "${1:-judged}" "$name" "$took" "$status" "$log"
  done
  begun=()
}

# begin_shards NAME COUNT PROGRAM: a GoogleTest program, its tests dealt out to COUNT processes.
begin_shards() {
  local k
  for ((k = 0; k < $2; k++)); do
    begin "$1, $((k + 1)) of $2" env GTEST_TOTAL_SHARDS="$2" GTEST_SHARD_INDEX="$k" "$3" --gtest_brief=1
  done
}

json_field() {  # json_field OBJECT KEY < file: the number of KEY in OBJECT, which holds no others
  tr -d ' \n' | grep -o "\"$1\":{[^}]*}" | grep -o "\"$2\":[^,}]*" | cut -d: -f2
}

# Whether cuBLASLt was found: its kernels are then in the ladder and the selftest. Only a line that says so
# is believed: where there is none, the selftest did not come to its end.
report_cublaslt() {
  local name="libcublasLt.so.13 or .12" status=0 verdict why
  timed "$work/log" 30 "$bin/diabolo" selftest --device cuda --filter 'f32 64x64x64' || status=$?
  read -r verdict why < <(sed -nE \
    's/^cuda\.dense_forward\.cublaslt_f32 .*  (pass|skip|FAIL)( .*)?$/\1 \2/p' "$work/log")
  case $status:$verdict in
    0:pass) row "$part" "$name" found "" ok ;;
    0:skip) row "$part" "$name" missing "$why" skipped ;;
    0:*) judged "$name: no line of its kernel" "" 1 "$work/log" ;;
    *) judged "$name" 30 "$status" "$work/log" ;;
  esac
}

# test_error PRECISION LIMIT: what `begin train` left in $work/PRECISION, its test error at most LIMIT.
test_error() {
  local mse verdict=FAIL
  timed "$work/eval.json" 60 "$bin/diabolo" evaluate "$work/$1" "$data/t10k-images-idx3-ubyte.gz" --json \
    --device cuda
  mse=$(json_field reconstruction mse < "$work/eval.json")
  awk -v mse="${mse:-1}" -v limit="$2" 'BEGIN {exit !(mse <= limit)}' && verdict=ok
  row "$part" "test MSE after 20 epochs, $1, one seed" "$(printf %.6f "${mse:-1}")" "at most $2" $verdict
}

# The largest difference of the codes that GPU and CPU make with one model, of the largest code.
compare_codes() {
  local device difference verdict=FAIL
  for device in cuda cpu; do
    timed "$work/log" 60 "$bin/diabolo" encode "$work/f32" "$data/t10k-images-idx3-ubyte.gz" \
      --device $device -o "$work/codes-$device.raw" --progress none
  done
  difference=$(paste <(od -An -v -w4 -tf4 "$work/codes-cuda.raw") \
                     <(od -An -v -w4 -tf4 "$work/codes-cpu.raw") |
    awk '{d = $1 - $2; if (d < 0) d = -d; if (d > m) m = d; a = $2 < 0 ? -$2 : $2;
          if (a > s) s = a} END {printf("%.3g", (s > 0) ? m / s : 1)}')
  awk -v d="$difference" 'BEGIN {exit !(d < 1e-4)}' && verdict=ok
  row "$part" "codes, GPU against CPU, of the largest" "$difference" "at most 1e-4" $verdict
}

part_correctness() {
  local precision
  check "verbs, native against host halves" "$bin/cuda_verbs_native_test" --gtest_brief=1
  begin "products against the reference" "$bin/cuda_dense_native_test" --gtest_brief=1
  begin "other kernels against the reference" "$bin/cuda_flat_native_test" --gtest_brief=1
  begin "mathematics against the C library" "$bin/cuda_math_native_test" --gtest_brief=1
  for precision in f32 bf16; do
    begin "train dense, $precision" "$bin/diabolo" train "$data/train-images-idx3-ubyte.gz" \
      --preset dense --precision "$precision" --device cuda --seed 0 -o "$work/$precision" --progress none
  done
  finish
  test_error f32 0.00985
  test_error bf16 0.0100  # three seeds on a CPU: 0.0092 to 0.0097
  compare_codes
  report_cublaslt
}

# Every kernel on every case; `correctness` has shown the ways through them already.
part_ladder() {
  begin_shards "ladder, every CUDA kernel" $((jobs > 2 ? jobs - 2 : 2)) "$bin/ladder_test"
  finish
  check "beyond 2^31 elements" "$bin/huge_test" --gtest_brief=1
  [ "$(seconds_left)" -lt 1000 ] || check "selftest" "$bin/diabolo" selftest --device cuda
}

# As `judged`, of a selftest under compute-sanitizer, which is slow: one that is cut says how far it came, and
# fails only if the sanitizer had something to say by then.
judge_sanitizer() {
  local ops
  ops=$(grep -c '^checking ' "$4")
  case $3 in
    123 | 124) ;;
    *) judged "$@"; return ;;
  esac
  if grep '^=========' "$4" | grep -qvE 'COMPUTE-SANITIZER|terminate|SUMMARY: 0 '; then
    judged "$1" "$2" 9 "$4"
  else
    row "$part" "$1, cut after $((ops > 0 ? ops - 1 : 0)) operations" "$2" s cut
  fi
}

part_sanitizer() {
  local tool
  tool=$(command -v "${COMPUTE_SANITIZER:-compute-sanitizer}" "${toolkits[@]/%//bin/compute-sanitizer}" \
    "${toolkits[@]/%//compute-sanitizer/compute-sanitizer}" | head -n 1)
  if [ -z "$tool" ]; then
    row sanitizer "compute-sanitizer" missing "" skipped
    return
  fi
  local kind
  for kind in memcheck racecheck initcheck synccheck; do
    begin "$kind" "$tool" --tool "$kind" --error-exitcode 9 \
      "$bin/diabolo" selftest --device cuda --quick --verbose
  done
  finish judge_sanitizer
}

# measured PROGRAM FILTER: $work/bench.json of a Google Benchmark program; a row if it fails.
measured() {
  local status=0
  timed "$work/log" "$limit_s" "$bin/$1" --device cuda --benchmark_filter="$2" --benchmark_min_time=0.5 \
    --benchmark_out_format=json --benchmark_out="$work/bench.json" || status=$?
  [ "$status" = 0 ] && return
  judged "$1 $2" "" "$status" "$work/log"
  return 1
}

bench() {  # bench PROGRAM FILTER: rows of what it counts
  local name value unit
  measured "$1" "$2" || return
  while IFS=$'\t' read -r name value unit; do row "$part" "$name" "$value" "$unit" ok; done < <(awk '
    /"name":/        {gsub(/[",]/, ""); sub(/^ *name: /, ""); sub(/\/real_time.*/, ""); name = $0}
    /"samples_per_s":|"bytes":|"flops":|"first_loss":|"step_s":|"run_s":/ {
      gsub(/[",:]/, " "); printf "%s\t%.5g\t%s\n", "diabolo " name, $2, $1}' "$work/bench.json")
}

# goal NAME AT_MOST PROGRAM ROW COUNTER FACTOR: microseconds, FACTOR times what the row counts, or for
# bytes a second FACTOR over it.
goal() {
  local name=$1 at_most=$2 counter=$5 factor=$6 value verdict=missed
  measured "$3" "^$4/real_time" || return
  value=$(awk -v counter="\"$counter\":" -v factor="$factor" '
    $1 == counter {v = $2 + 0; printf "%.5g", 1e6 * (counter == "\"bytes\":" ? factor / v : factor * v); exit}
    ' "$work/bench.json")
  awk -v a="${value:-1e9}" -v b="$at_most" 'BEGIN {exit !(a <= b)}' && verdict=reached
  row "$part" "$name" "${value:-none}" "us, goal $at_most" "$([ -n "$value" ] && echo $verdict || echo FAIL)"
}

part_ceilings() {
  bench op_bench '^product/.*/bf16'
  if python3 -c 'import torch' 2> /dev/null; then
    timed "$work/ceilings.tsv" 60 "${peers[@]}" python3 "$top/bench/baselines/ceilings.py"
    while IFS=$'\t' read -r name value unit; do
      [ -z "$unit" ] || row ceilings "$name" "$(printf %.5g "$value")" "$unit" ok
    done < "$work/ceilings.tsv"
    grep -q 'device copy' "$work/ceilings.tsv" ||
      row ceilings "ceilings.py: $(tail -n 1 "$work/ceilings.tsv")" none "" FAIL
  else
    row ceilings "python3 with torch" missing "" skipped
  fi
}

# Ours alone, each row at once: the peers need minutes to get ready. Goals: docs/gpu.md.
part_rows() {
  goal "G1 train step, batch 256" 30 train_bench train/dense64/bf16/256 step_s 1
  goal "G2 train step, batch 4096" 75 train_bench train/dense64/bf16/4096 step_s 1
  goal "G3 train step, batch 65536" 780 train_bench train/dense64/bf16/65536 step_s 1
  goal "G5 score of 2^20 rows" 4200 encode_bench score/dense64/bf16/65536 run_s 16
  goal "G12 encode of one row" 8 encode_bench encode_resident/dense64/bf16/1 run_s 1
  goal "G14 Adam over 1.1 M parameters" 8 op_bench adam/1100000 bytes 30.8e6
  goal "G14 Adam over 300 M parameters" 2270 op_bench adam/300000000 bytes 8.4e9
}

# compare PRECISION: ours beside the peers, interleaved, as many rounds as there is time for. The peers have
# what leaves time for one round: with none of them ready, it is ours alone.
compare() {
  local left prepare status=0 name value unit verdict round_s=45
  left=$(limit_of "$compare_s")
  if ! python3 -c 'import torch' 2> /dev/null; then
    row "$part" "python3 with torch" missing "" skipped
    return
  fi
  if [ "$left" -le $((round_s + 5)) ]; then
    judged compare.py 0 125
    return
  fi
  prepare=$((peers_ready_s < left - round_s ? peers_ready_s : left - round_s))
  rm -f "$work/compare.tsv"
  timed "$work/log" "$left" "${peers[@]}" python3 "$top/bench/compare.py" --device cuda --bin "$bin" \
    --precisions "$1" --implementations "${peer_names[@]}" --peer python3 --seconds 0.7 --rounds "$rounds" \
    --prepare "$prepare" --budget $((left - round_s)) --out "$out/$part-$(date -u +%F).json" \
    --tsv "$work/compare.tsv" || status=$?
  touch "$work/compare.tsv"
  while IFS=$'\t' read -r name value unit verdict; do
    row "$part" "$name" "$value" "$unit" "$verdict"
  done < "$work/compare.tsv"
  # What it said is kept, and that it did not come to its end, or why.
  [ "$status" = 0 ] || grep -q 'FAIL$' "$work/compare.tsv" ||
    judged compare.py "$left" "$status" "$work/log"
}

part_dense() { compare bf16; }
part_dense_f32() { compare f32; }

if ! "$bin/diabolo" devices 2> /dev/null | grep -q '^cuda:[0-9]'; then
  echo "gpu_check: no CUDA device here:" >&2
  "$bin/diabolo" devices >&2
  exit 6
fi
: > "$rows"
for part in "${parts[@]}"; do
  if ! declare -F "part_$part" > /dev/null; then
    echo "gpu_check: no part $part (quick; correctness, rows, dense, dense_f32, ladder, ceilings, sanitizer)" >&2
    exit 2
  fi
done
for part in "${parts[@]}"; do
  echo "== $part"
  "part_$part"
done
echo "== in short"
awk -F'\t' '$1 == "rows" || $1 ~ /^dense/ || $5 ~ /^(FAIL|cut|skipped)$/ {
    printf "%-52s %14s %-16s %s\n", $2, $3, $4, $5}
  {count[$5]++} END {for (verdict in count) printf "%d %s  ", count[verdict], verdict; print ""}' "$rows"
echo "wrote $out/$json_name"
exit $failed
