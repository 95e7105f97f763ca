#!/bin/sh
# Style and tests in the project's own environment: sh tools/run_tests.sh [pytest arguments]
# Runs all three checks even if one fails, and exits non-zero if any did.
cd "$(dirname "$0")/.." || exit 1
. tools/env.sh || exit 1

# The tests are many small tensors: more threads only wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

failed=
ruff check . || failed="ruff check"
ruff format --check . || failed="${failed:+$failed, }ruff format --check"
python -m pytest -q "$@" || failed="${failed:+$failed, }pytest"
[ -z "$failed" ] || { echo "run_tests.sh: failed: $failed" >&2; exit 1; }
