"""Put this package's configs into a Pointcept checkout: python -m pointcept_msm.link POINTCEPT [--copy]

Afterwards `sh scripts/train.sh -d msm -c pretrain-scannet` finds them there. Nothing that Pointcept tracks is changed.
"""

import argparse
import shutil
import sys
from pathlib import Path

from pointcept_msm.runtime.command_line import run_command

PACKAGE = Path(__file__).resolve().parent
PLACES = (PACKAGE.parent / "configs" / "msm", PACKAGE / "configs" / "msm")  # a clone, an installed wheel


def find_configs(places=PLACES) -> Path:
    """The folder of configs; FileNotFoundError when neither a clone nor the installed package has one."""
    for place in places:
        if (place / "_base_" / "runtime.py").is_file():
            return place
    raise FileNotFoundError(
        f"no configs at {' or '.join(map(str, places))}; install this package from its repository (pip install -e .)"
    )


def link_configs(checkout: Path, source: Path, copy: bool = False) -> str:
    """Link (or copy) `source` to <checkout>/configs/msm; returns a sentence about what was done.

    FileNotFoundError: no Pointcept there. FileExistsError: something else has the name; it is left alone.
    """
    if not (checkout / "pointcept").is_dir() or not (checkout / "configs").is_dir():
        raise FileNotFoundError(
            f"{checkout} is no Pointcept checkout: it has no folders 'pointcept' and 'configs'; give its root"
        )
    target = checkout / "configs" / "msm"
    if target.is_symlink() and target.resolve() == source.resolve():
        return f"{target} links to {source} already"
    if target.is_symlink() or target.exists():
        raise FileExistsError(f"{target} exists already and is no link to {source}; remove or rename it")
    if copy:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return f"copied {source} to {target}; copy again after an update of this package"
    target.symlink_to(source, target_is_directory=True)
    return f"linked {target} -> {source}"


def main(argv: list[str]) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(prog="python -m pointcept_msm.link", description=__doc__)
    parser.add_argument("checkout", type=Path, help="root of a Pointcept clone")
    parser.add_argument("--copy", action="store_true", help="copy instead of linking")
    args = parser.parse_args(argv)
    print(link_configs(args.checkout.resolve(), find_configs(), args.copy))
    print("next, in Pointcept: sh scripts/train.sh -d msm -c pointcept/pretrain-rooms-mini -n mini -g 1")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
