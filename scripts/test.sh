#!/usr/bin/env bash
# Installs what building and testing needs (only what is missing), builds diabolo in every way that
# counts and runs every test.
#
#   scripts/test.sh               everything
#   scripts/test.sh STAGE...      only these stages, e.g. `scripts/test.sh release asan`
#   scripts/test.sh --list        the stages
#
#   DIABOLO_FUZZ_SECONDS=60       time for each fuzz target
#   DIABOLO_JOBS=N                compilers and tests at once (all cores)
#   DIABOLO_SKIP_INSTALL=1        leave packages alone
#
# A failing stage does not stop the others. The last line is "N passed, N failed": tests, and each
# build or check that is not made of tests counts as one. Exit status 1 if any failed.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/packages.sh

fuzz_seconds=${DIABOLO_FUZZ_SECONDS:-60}
jobs=${DIABOLO_JOBS:-$(nproc)}
logs=build/test-logs
passed=0 failed=0 summary=()
# Test programs that are worth a second compiler, and those where threads meet.
clang_targets=(base_test complex_step_test config_test cpu_dense_test cpu_loops_test data_test
  graph_test train_test)
tsan_targets=(capi_threads_test file_test host_backend_test inference_test pipeline_test train_test)

command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
  export CMAKE_CUDA_COMPILER_LAUNCHER=ccache
fi
export CTEST_OUTPUT_ON_FAILURE=1 CTEST_PARALLEL_LEVEL=$jobs CMAKE_BUILD_PARALLEL_LEVEL=$jobs

# quietly NAME COMMAND...: runs it; shows what it said only if it failed.
quietly() {
  local log=$logs/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    echo "--- failed: $*"
    tail -n 60 "$log"
    return 1
  }
}

# build PRESET [CMAKE ARGUMENT...] [--target T...]: configures and builds.
build() {
  local preset=$1 configure=() targets=()
  shift
  while [ "$#" -gt 0 ] && [ "$1" != --target ]; do configure+=("$1") && shift; done
  targets=("$@")
  quietly "$preset-configure" cmake --preset "$preset" "${configure[@]}" &&
    quietly "$preset-build" cmake --build --preset "$preset" "${targets[@]}"
}

# run_tests PRESET [CTEST ARGUMENT...]: its closing lines are counted by run_stage.
run_tests() {
  local preset=$1
  shift
  ctest --test-dir "build/$preset" --no-tests=error "$@"
}

# only TARGET...: a CTest filter for exactly these.
only() {
  local IFS='|'
  echo "^($*)\$"
}

stage_format() { # every C++ and CUDA file is as clang-format leaves it
  git -c safe.directory='*' ls-files '*.h' '*.cpp' '*.cu' '*.cuh' '*.c' '*.hpp' |
    xargs -r -n 32 -P "$jobs" clang-format --dry-run --Werror
}

stage_release() { # gcc, everything
  build release && run_tests release
}

stage_asan() { # gcc, everything, address and undefined behaviour sanitizers
  build asan && run_tests asan
}

stage_tsan() { # what runs on several threads, thread sanitizer, without oneDNN
  build tsan --target "${tsan_targets[@]}" && run_tests tsan -R "$(only "${tsan_targets[@]}")"
}

stage_clang() { # clang, the command and the tests that show most of the code
  build clang --target diabolo_command "${clang_targets[@]}" &&
    run_tests clang -R "$(only cli_commands_test "${clang_targets[@]}")"
}

stage_fuzz() { # every parser of files, each for DIABOLO_FUZZ_SECONDS under libFuzzer
  scripts/fuzz.sh "$fuzz_seconds"
}

stage_no_toolkit() { # configures where there is no nvcc
  local path
  path=$(tr : '\n' <<<"$PATH" | while read -r place; do
    [ -x "$place/nvcc" ] || echo "$place"
  done | paste -sd:)
  quietly no-toolkit env -u CUDACXX -u CUDA_HOME -u CUDA_PATH -u LIBRARY_PATH PATH="$path" \
    cmake --preset release -B build/no-toolkit
}

stage_harness() { # the CUDA kernels and the CUDA backend on the host, address and undefined behaviour
  build harness --target harness_tests && run_tests harness -L harness
}

stage_harness_race() { # the CUDA kernels on the host, race detector
  build harness-race --target race_tests && run_tests harness-race -L race
}

stage_ptx() { # the PTX that nvcc makes of the CUDA kernels, in the tests' interpreter
  command -v nvcc >/dev/null || {
    echo "skipped: this machine has no nvcc"
    return 0
  }
  build ptx --target ptx_tests && run_tests ptx -L ptx && scripts/check_layouts.sh
}

stage_cuda() { # nvcc, every architecture, held against the budget; the command without a driver
  command -v nvcc >/dev/null || {
    echo "skipped: this machine has no nvcc"
    return 0
  }
  rm -rf build/cuda  # ptxas speaks only when it compiles
  build cuda --target diabolo_command cublaslt_numbers && quietly cuda-devices build/cuda/diabolo devices &&
    python3 scripts/check_ptxas.py "$logs/cuda-build.log" && scripts/check_ptx.sh &&
    python3 scripts/check_sass.py build/cuda/kernels &&
    DIABOLO=$PWD/build/cuda/diabolo PATH=/usr/bin:$PATH python3 tests/cli/failures_test.py
}

# The order: what fails fastest and tells most comes first.
stages=(format no_toolkit release asan harness harness_race ptx tsan clang cuda fuzz)

describe() { sed -n "s/^stage_$1() { # //p" scripts/test.sh; }

# run_stage NAME: runs it, counts its tests and adds its row to the summary.
run_stage() {
  local start=$SECONDS log=$logs/$1.tests status=ok stage_passed=0 stage_failed=0 line
  printf '\n=== %s: %s\n' "$1" "$(describe "$1")"
  "stage_$1" 2>&1 | tee "$log" || status=FAILED
  while read -r line; do # "97% tests passed, 1 tests failed out of 30"
    stage_failed=$((stage_failed + $(awk '{print $4}' <<<"$line")))
    stage_passed=$((stage_passed + $(awk '{print $9 - $4}' <<<"$line")))
  done < <(grep -E '^[0-9]+% tests passed, [0-9]+ tests? failed out of [0-9]+' "$log")
  if [ "$((stage_passed + stage_failed))" = 0 ] || [ "$status:$stage_failed" = FAILED:0 ]; then
    [ "$status" = ok ] && stage_passed=1 || stage_failed=$((stage_failed + 1))
  fi
  passed=$((passed + stage_passed)) failed=$((failed + stage_failed))
  summary+=("$(printf '%-14s %6d s %8d %8d  %s' \
    "$1" "$((SECONDS - start))" "$stage_passed" "$stage_failed" "$status")")
  echo "=== $1: $status, $((SECONDS - start)) s"
}

main() {
  local stage chosen=("$@")
  if [ "${1:-}" = --list ]; then
    for stage in "${stages[@]}"; do printf '%-14s %s\n' "$stage" "$(describe "$stage")"; done
    return 0
  fi
  [ "${#chosen[@]}" -gt 0 ] || chosen=("${stages[@]}")
  for stage in "${chosen[@]}"; do
    declare -F "stage_$stage" >/dev/null || {
      echo "no stage '$stage'; scripts/test.sh --list names them" >&2
      return 2
    }
  done
  if [ -z "${DIABOLO_SKIP_INSTALL:-}" ]; then
    install_packages build data test || return 1
  fi
  mkdir -p "$logs"
  for stage in "${chosen[@]}"; do run_stage "$stage"; done
  printf '\n%-14s %8s %8s %8s\n' stage time passed failed
  printf '%s\n' "${summary[@]}"
  printf '%-14s %6d s\n\n' total "$SECONDS"
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

main "$@"
