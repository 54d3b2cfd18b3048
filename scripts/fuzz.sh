#!/usr/bin/env bash
# Runs the fuzz targets under address and undefined-behaviour sanitizers.
#   scripts/fuzz.sh SECONDS [NAME...]     each target (all, or the named ones) for SECONDS, as many at
#                                         once as there are cores (DIABOLO_JOBS)
# An input that crashes, takes over a second or needs over 256 MB ends the run with status 1; it is
# kept in build/fuzz/finds. What was learnt is kept in build/fuzz/learnt and used by the next run.
# A run of all targets for a minute or longer goes on by halves of a minute, four at most, until a
# million inputs were tried in total, and ends with status 1 if they were not.
set -euo pipefail

seconds=${1:?usage: scripts/fuzz.sh SECONDS [NAME...]}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
names=("$@") is_all=0
if [ ${#names[@]} -eq 0 ]; then
  is_all=1
  for folder in tests/fuzz/corpus/*/; do names+=("$(basename "$folder")"); done
fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${names[@]/#/fuzz_}"
mkdir -p build/fuzz/finds

# ASan keeps freed memory back; 16 MB of it leave room under the limit.
export ASAN_OPTIONS="quarantine_size_mb=16:allocator_may_return_null=0:${ASAN_OPTIONS:-}"
# A machine that stalls for a second looks like a slow input: such an input is tried again, alone.
is_stall() {
  [[ $2 == *-timeout-* ]] && "build/fuzz/fuzz_$1" -timeout=1 "$2" >/dev/null 2>&1
}

# As libFuzzer says in log FILE.
executions_in() {
  awk '/^stat::number_of_executed_units:/ { sum += $2 } END { print sum + 0 }' "$1"
}

fuzz_one() {
  local name=$1 learnt=build/fuzz/learnt/$1 log=build/fuzz/fuzz_$1.log end=$((SECONDS + seconds)) find
  local executed=0
  mkdir -p "$learnt"
  while [ "$SECONDS" -lt "$end" ]; do
    if "build/fuzz/fuzz_$name" -max_total_time=$((end - SECONDS)) -max_len=4096 -timeout=1 \
        -rss_limit_mb=256 -malloc_limit_mb=256 -print_final_stats=1 \
        -artifact_prefix=build/fuzz/finds/"$name"- "$learnt" tests/fuzz/corpus/"$name" \
        >"$log" 2>&1; then
      executed=$((executed + $(executions_in "$log")))
      break
    fi
    executed=$((executed + $(executions_in "$log")))
    find=$(sed -n 's/.*Test unit written to //p' "$log")
    if ! is_stall "$name" "$find"; then
      tail -n 60 "$log"
      echo "fuzz_$name: found something; the input is in build/fuzz/finds, the log in $log" >&2
      return 1
    fi
    rm "$find"
  done
  echo "$executed" >>"build/fuzz/fuzz_$name.executed"
  grep -E 'slowest_unit_time_sec|peak_rss_mb' "$log" | sed "s/^/fuzz_$name: /"
  echo "fuzz_$name: $executed executions"
}
export -f fuzz_one is_stall executions_in
export seconds

fuzz_all() {
  printf '%s\0' "${names[@]}" |
    xargs -0 -n 1 -P "${DIABOLO_JOBS:-$(nproc)}" bash -c 'fuzz_one "$1"' fuzz_one
}

total() { cat build/fuzz/*.executed | awk '{ sum += $1 } END { print sum + 0 }'; }

rm -f build/fuzz/*.executed
least=$((is_all && seconds >= 60 ? 1000000 : 0))
fuzz_all
for seconds in 30 30 30 30; do  # a busy machine takes longer, not less
  [ "$(total)" -lt "$least" ] || break
  fuzz_all
done
echo "$(total) executions in total"
if [ "$(total)" -lt "$least" ]; then
  echo "expected at least $least: a target became slow, or its seeds lead nowhere" >&2
  exit 1
fi
