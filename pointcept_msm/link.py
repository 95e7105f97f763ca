"""Put this package's configs into a Pointcept checkout: python -m pointcept_msm.link POINTCEPT [--copy]

Afterwards `sh scripts/train.sh -d msm -c pretrain-scannet` finds them there. Nothing that Pointcept tracks is changed.
Needs the standard library alone: it may come before torch and before Pointcept's own requirements.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

from pointcept_msm.runtime.command_line import run_command
from pointcept_msm.runtime.errors import UserError

PACKAGE = Path(__file__).resolve().parent
PLACES = (PACKAGE.parent / "configs" / "msm", PACKAGE / "configs" / "msm")  # a clone, an installed wheel
RECORD = ".copied-by-pointcept_msm.json"  # in a copy: {file: SHA-256 of what was copied}


def find_configs(places=PLACES) -> Path:
    """The folder of configs, in a clone or in the installed package. UserError: in neither."""
    for place in places:
        if (place / "_base_" / "runtime.py").is_file():
            return place
    raise UserError(
        f"no configs at {' or '.join(map(str, places))}; install this package from its repository (pip install -e .)"
    )


def link_configs(checkout: Path, source: Path, copy: bool = False) -> str:
    """Link or copy `source` to <checkout>/configs/msm; returns a sentence about what was done.

    A copy that was made before is brought up to date; files of the user's in it stay. UserError, with nothing changed:
    no Pointcept there, something else has the name, or a file of the copy was changed since.
    """
    check_checkout(checkout)
    target = checkout / "configs" / "msm"
    if target.is_symlink() and target.resolve() != source.resolve():
        raise UserError(f"{target} links elsewhere, to {target.resolve()}; remove or rename it")
    if copy:
        return _copy(source, target)
    if target.is_symlink():
        return f"{target} links to {source} already"
    if target.exists():
        next_step = "bring it up to date with --copy" if (target / RECORD).is_file() else "remove or rename it"
        raise UserError(f"{target} is there already and is no link to {source}; {next_step}")
    try:
        target.symlink_to(source, target_is_directory=True)
    except OSError as error:
        raise UserError(f"{target} cannot be made a link ({error.strerror}); copy with --copy") from error
    return f"linked {target} -> {source}"


def check_checkout(checkout: Path) -> None:
    """UserError where there is no Pointcept; names a folder beside or below that is one."""

    def is_checkout(folder):
        return (folder / "pointcept" / "engines").is_dir() and (folder / "configs").is_dir()

    if is_checkout(checkout):
        return
    near = [folder for folder in (checkout.parent, *checkout.glob("*/")) if is_checkout(folder)]
    hint = f"did you mean {near[0]}?" if near else "give the root of a clone"
    raise UserError(f"{checkout} is no Pointcept checkout: it has no pointcept/engines and configs; {hint}")


def _copy(source, target):
    """Every file of `source` to `target`; what an earlier copy made and the source no longer has goes."""
    was_link = target.is_symlink()
    record = json.loads((target / RECORD).read_text()) if (target / RECORD).is_file() and not was_link else {}
    files = {path.relative_to(source).as_posix(): _digest(path) for path in sorted(source.rglob("*.py"))}
    held = {} if was_link else {name: target / name for name in {*files, *record} if (target / name).is_file()}
    theirs = [name for name, path in sorted(held.items()) if _digest(path) not in (files.get(name), record.get(name))]
    if theirs:
        raise UserError(
            f"{target / theirs[0]} is not as this command copied it ({len(theirs)} such files); give your own configs "
            "other names, then copy again"
        )
    if was_link:
        target.unlink()
    for name in held.keys() - files.keys():
        held[name].unlink()
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    (target / RECORD).write_text(json.dumps(files, indent=1))
    done = "in place of the link" if was_link else "brought up to date" if record else "copied"
    return f"{target}: {len(files)} files from {source}, {done}; copy again after an update of this package"


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(argv: list[str]) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(prog="python -m pointcept_msm.link", description=__doc__)
    parser.add_argument("checkout", type=Path, help="root of a Pointcept clone")
    parser.add_argument("--copy", action="store_true", help="copy instead of linking, or bring a copy up to date")
    args = parser.parse_args(argv)
    print(link_configs(args.checkout.resolve(), find_configs(), args.copy))
    print("next, in Pointcept: sh scripts/train.sh -d msm -c pointcept/pretrain-rooms-mini -n mini -g 1")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
