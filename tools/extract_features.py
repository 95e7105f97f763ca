"""Features of scenes: python tools/extract_features.py SCENE... --out DIR [--weights W]

For each scene `<name>.npz` (feat: one row a point) and `<name>.json` (levels, weights, what was filled). A scene that
cannot be used is reported, the others go on, and the exit code says so.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.__main__ import run_subcommand
from pointcept_msm.runtime.command_line import run_command

main = partial(run_subcommand, "extract")

if __name__ == "__main__":
    sys.exit(run_command(main))
