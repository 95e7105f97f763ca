"""A file's tensors against those that a network has: every name and shape accounted for, or a refusal."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch

from pointcept_msm.runtime.errors import UserError

SHOWN = 4  # names listed of each kind
NEXT_STEP = "give weights of this network, or the config that they were trained with"


class Match(NamedTuple):
    """state: tensors by the network's names, in its order; unknown: names of the file that the network lacks; missing:
    names of the network that the file lacks. The last two only as far as `ignore` allowed them.
    """

    state: dict[str, torch.Tensor]
    unknown: list[str]
    missing: list[str]


def match_state(
    given: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    source="the file",
    ignore: Iterable[str] = (),
    strangers: Iterable[str] = (),
    next_step: str = NEXT_STEP,
) -> Match:
    """Account for every name, shape and value of `given` (names -> tensors) against `expected` (the network's own).

    ignore: patterns (`head.*`) of unknown or missing names to accept; a file of which nothing matches is refused all
    the same. strangers: further names in the file, unknown too. source, next_step: begin and end of the error.
    UserError lists what is unknown, missing, of another shape or not finite.
    """
    ignore = tuple(ignore)
    shared = {name: given[name] for name in expected if name in given}
    unknown = [*(name for name in given if name not in expected), *strangers]
    missing = [name for name in expected if name not in given]
    faults = {
        "unknown": [name for name in unknown if not matches(name, ignore)],
        "missing": [name for name in missing if not matches(name, ignore) or not shared],
        "of another shape": list(filter(None, (_compare(n, v, expected[n]) for n, v in shared.items()))),
        "not finite": [n for n, v in shared.items() if isinstance(v, torch.Tensor) and not torch.isfinite(v).all()],
    }
    said = [f"{len(names)} {kind} ({list_names(names)})" for kind, names in faults.items() if names]
    if said:
        raise UserError(f"{source} does not fit the network ({len(expected)} tensors): {', '.join(said)}; {next_step}")
    return Match(shared, unknown, missing)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def list_names(names: Iterable[str]) -> str:
    """The first few names, and how many more."""
    names = [str(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "nothing") + more


def _compare(name, value, expected):
    """In what a value differs from the network's, None if in nothing."""
    if not isinstance(value, torch.Tensor):
        return f"{name} is a {type(value).__name__}"
    if value.shape == expected.shape and value.is_floating_point() == expected.is_floating_point():
        return None
    kind = "" if value.is_floating_point() else f" of {value.dtype}"
    return f"{name} is {tuple(value.shape)}{kind}, expected {tuple(expected.shape)}"
