"""Test a config: python tools/test.py --config-file probe-rooms-tiny --options weight=FILE save_path=DIR"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import build_run_parser, run_command


def main(argv):
    args = build_run_parser(__doc__).parse_args(argv)
    from pointcept_msm.host.runner import run_testing  # after the arguments: it takes seconds

    return run_testing(
        args.config_file, args.options, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
