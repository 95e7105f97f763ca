"""Files of a run folder that Pointcept's scripts would overwrite or reuse."""

import shutil
from pathlib import Path

TRAIN_CONFIG, TEST_CONFIG = "train_config.py", "test_config.py"
STAMP = "made_by.txt"


def keep_train_config(folder: Path) -> None:
    """Second copy of a training's config.py: Pointcept's test.sh writes the test's config over the first."""
    if (folder / "config.py").is_file():
        shutil.copyfile(folder / "config.py", folder / TRAIN_CONFIG)


def restore_train_config(folder: Path) -> bool:
    """Put the training's config.py back, the test's goes to test_config.py; whether there was anything to do."""
    config, kept = folder / "config.py", folder / TRAIN_CONFIG
    if not (config.is_file() and kept.is_file()) or config.read_bytes() == kept.read_bytes():
        return False
    config.replace(folder / TEST_CONFIG)
    shutil.copyfile(kept, config)
    return True


def set_aside_results(folder: Path, made_by: str) -> Path | None:
    """Make <run>/result belong to `made_by`: predictions of anything else move to result-<n>, which is returned."""
    result, moved = folder / "result", None
    stamp = result / STAMP
    if any(result.glob("*_pred.npy")) and not (stamp.is_file() and stamp.read_text() == made_by):
        number = next(n for n in range(1, 10**6) if not (folder / f"result-{n}").exists())
        moved = result.rename(folder / f"result-{number}")
    result.mkdir(parents=True, exist_ok=True)
    stamp.write_text(made_by)
    return moved
