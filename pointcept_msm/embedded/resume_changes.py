"""What a resumed run may do otherwise than before: some options change nothing, some are said, some are refused."""

from collections.abc import Mapping

# Restored from the checkpoint, so that a new value would be ignored without a word.
RESTORED = ("optimizer", "scheduler", "param_dicts")
# How a run is carried out, not what comes out of it.
HARMLESS = (
    "resume",
    "weight",
    "save_path",
    "num_worker",
    "log_every",
    "evaluate",
    "empty_cache",
    "empty_cache_per_epoch",
)


def list_changes(before, after, path=""):
    """Dotted keys whose values differ between two nested configs, with both values, in order of the keys."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted({*before, *after}, key=str)
        return [
            c for key in keys for c in list_changes(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)) and len(before) == len(after):
        return [c for i, pair in enumerate(zip(before, after)) for c in list_changes(*pair, f"{path}.{i}")]
    return [] if before == after else [(path, before, after)]


def check_changes(before, after):
    """Sentences for the log about what options change in a run that is resumed; ValueError for what cannot change."""
    said = []
    for key, old, new in list_changes(before, after):
        top = key.split(".")[0]
        if top in RESTORED:
            raise ValueError(
                f"{key} cannot be changed from {old!r} to {new!r} when a run is resumed: it comes from the checkpoint; "
                "leave the option out, or start a new run from its weights with -w."
            )
        if top not in HARMLESS:
            said.append(f"{key} is {new!r} from here on, it was {old!r}: the run goes on, but not as it would have")
    return said
