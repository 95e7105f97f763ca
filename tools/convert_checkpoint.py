"""Turn a checkpoint into one safe file: python tools/convert_checkpoint.py --source released IN.pth OUT.safetensors

Sources: `released`, the authors' checkpoint; `pointcept`, model_last.pth or model_best.pth of a run in either host;
`spunet`, a Pointcept checkpoint whose backbone is SpUNet, such as MSC's. Nothing in IN is run, nor is the config.py
beside a run's checkpoint, which is read as data. A .py given with --network-config is run: give only your own.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.__main__ import run_subcommand
from pointcept_msm.runtime.command_line import run_command

main = partial(run_subcommand, "convert")

if __name__ == "__main__":
    sys.exit(run_command(main))
