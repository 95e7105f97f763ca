"""A foreign state dict against the tensors a network has: every name and shape accounted for, or a refusal."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch

from .sources import DDP_PREFIX, Source

SHOWN = 4  # names listed of each kind


class Match(NamedTuple):
    """state: tensors by the network's names; dropped: keys of the file left behind and missing: tensors of the network
    that the file lacks, both named by --ignore.
    """

    state: dict[str, torch.Tensor]
    dropped: list[str]
    missing: list[str]


def find_state(content: Mapping, source: Source, path="the file") -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint, DDP's prefix removed. ValueError: none under the source's keys."""
    for name in source.containers:
        if isinstance(content.get(name), Mapping):
            state = content[name]
            break
    else:
        raise ValueError(
            f"{path} has no {' or '.join(map(repr, source.containers))} with tensors, only {list_names(content)}: "
            "choose the --source it comes from"
        )
    return {str(key).removeprefix(DDP_PREFIX): value for key, value in state.items()}


def select_network(
    state: Mapping, source: Source, network: str | None = None, path="the file"
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """(tensors of one network by its own names, keys that belong to no network and not to training).

    network: of the source's (None: its first). ValueError: the source has none of that name, or the file none of its
    keys.
    """
    prefixes = source.prefixes
    network = network or next(iter(prefixes))
    if network not in prefixes:
        raise ValueError(f"this source has no {network}; there is: {', '.join(prefixes)}")
    prefix = prefixes[network]
    others = [p for n, p in prefixes.items() if n != network]
    if not any(key.startswith(prefix) for key in state):
        if not (source.bare and any(key.startswith(source.bare) for key in state)):
            there = [n for n, p in prefixes.items() if any(key.startswith(p) for key in state)]
            hint = f"it has the {there[0]}: use --network {there[0]}" if there else "choose the --source it comes from"
            raise ValueError(f"{path} has no key that begins with {prefix!r}, only {list_names(state)}: {hint}")
        prefix = ""
    useful = {key: value for key, value in state.items() if not matches(key, source.beside)}
    selected = {key.removeprefix(prefix): value for key, value in useful.items() if key.startswith(prefix)}
    return selected, [key for key in useful if not key.startswith((prefix, *others))]


def match_state(
    given: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    strangers: Iterable[str] = (),
    ignore: Iterable[str] = (),
    path="the file",
) -> Match:
    """Account for every name, shape and value. strangers: further names in the file, unknown too. ignore: patterns
    (`head.*`) of unknown or missing names to accept.

    ValueError lists what is unknown, missing, of another shape or not finite.
    """
    ignore = tuple(ignore)
    unknown = [*(name for name in given if name not in expected), *strangers]
    missing = [name for name in expected if name not in given]
    shared = {name: given[name] for name in expected if name in given}
    wrong = [
        f"{n} {_describe(v)}, expected {tuple(expected[n].shape)}"
        for n, v in shared.items()
        if _differs(v, expected[n])
    ]
    bad = [n for n, v in shared.items() if isinstance(v, torch.Tensor) and not torch.isfinite(v).all()]
    refused = {
        "unknown": [n for n in unknown if not matches(n, ignore)],
        "missing": [n for n in missing if not matches(n, ignore)],
        "of another shape": wrong,
        "not finite": bad,
    }
    faults = [f"{len(found)} {kind}: {list_names(found)}" for kind, found in refused.items() if found]
    if faults:
        step = "give the --network-config it was trained with"
        step += ", or accept unknown and missing ones with --ignore PATTERN" if not (wrong or bad) else ""
        raise ValueError(f"{path} does not fit the network ({len(expected)} tensors): {'; '.join(faults)}; {step}")
    return Match(shared, unknown, missing)


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def list_names(names: Iterable[str]) -> str:
    """The first few names, and how many more."""
    names = [str(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "nothing") + more


def _differs(value, expected):
    if not isinstance(value, torch.Tensor) or value.shape != expected.shape:
        return True
    return value.is_floating_point() != expected.is_floating_point()  # a batch norm's counter is an integer


def _describe(value):
    if not isinstance(value, torch.Tensor):
        return f"is a {type(value).__name__}"
    return f"is {tuple(value.shape)}" + ("" if value.is_floating_point() else f" of {value.dtype}")
