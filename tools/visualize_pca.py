"""Features as colours: python tools/visualize_pca.py SCENE... --out DIR [--weights W]

For each scene a coloured `<name>.ply`, a picture `<name>.png` and a page `<name>.html` that opens from disk; of several
scenes `sheet.png`, too, with all of them. One basis over all scenes, saved as `basis.npz`; give it as --basis to keep
colours comparable from call to call. The same as `msm show`.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.__main__ import run_subcommand
from pointcept_msm.runtime.command_line import run_command

main = partial(run_subcommand, "show")

if __name__ == "__main__":
    sys.exit(run_command(main))
