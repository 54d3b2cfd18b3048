#!/usr/bin/env bash
# Kills train and encode N times each (default 20) at random moments with SIGKILL, resumes them and
# compares the results bit by bit with those of runs that were not killed.
#   scripts/kill_test.sh [N] [SEED]       DIABOLO=PATH names the command (build/release/diabolo)
set -euo pipefail
cd "$(dirname "$0")/.."
export DIABOLO=${DIABOLO:-$PWD/build/release/diabolo}
exec "$(PATH=/usr/bin:$PATH command -v python3)" tests/cli/kill_test.py "${1:-20}" "${@:2}"
