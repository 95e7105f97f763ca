#!/bin/sh
# What to run first on a new GPU: sh tools/gpu_check.sh [--out FILE.json] [--parts a,b] [-p python]
# No data needed, at most four minutes: errors and times of every costly part, a table, JSON, exit code 1 if a part failed.
# POINTCEPT_ROOT=CHECKOUT adds Pointcept's own networks on the same voxels.
cd "$(dirname "$0")/.." || exit 1
python=${MSM_VENV:-.venv}/bin/python
[ -x "$python" ] || python=python3
[ "${1:-}" != -p ] || { python=$2; shift 2; }
exec "$python" tools/gpu_check.py "$@"
