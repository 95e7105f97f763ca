"""A network from the config and weights in a file, neither of which is trusted: compared before memory is spent."""

from collections.abc import Mapping

import torch
from torch.overrides import TorchFunctionMode

SHOWN = 3  # names listed of each kind


def build_from_file(config: Mapping, state_dict: Mapping | None, what: str = "the file") -> torch.nn.Module:
    """The network of `config` with the weights of `state_dict` (None: as initialised).

    It is built without memory first, so that a config which asks for terabytes is compared with the weights before it
    gets them. ValueError or KeyError in one sentence: no such network, or another one than the weights belong to.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise ValueError(f"{what} does not say what network it holds (config {config!r:.80}): export it again")
    if state_dict is not None:
        with NoMemory():
            shapes = _build(config, what).state_dict()
        compare_weights(shapes, state_dict, what)
    network = _build(config, what)
    if state_dict is not None:
        network.load_state_dict(state_dict, strict=True)
    return network


class NoMemory(TorchFunctionMode):
    """Inside the block, tensors made to hold parameters have a shape and no memory; computed ones are as always."""

    HOLDERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.randn, torch.rand)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in self.HOLDERS:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _build(config, what):
    from pointcept_msm.host import build_model

    try:
        return build_model(dict(config))
    except (KeyError, MemoryError):
        raise
    except Exception as error:  # arguments of any kind reach the constructor
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{what} holds a config from which no network can be built ({lines[0]})") from error


def compare_weights(expected: Mapping, given: Mapping, what: str) -> None:
    """ValueError that names what is missing, unknown or of another shape."""
    faults = {
        "missing": [name for name in expected if name not in given],
        "unknown": [name for name in given if name not in expected],
        "of another shape": [n for n in expected if n in given and given[n].shape != expected[n].shape],
    }
    said = [f"{len(names)} {kind} ({', '.join(names[:SHOWN])})" for kind, names in faults.items() if names]
    if said:
        raise ValueError(
            f"{what}: the weights do not belong to the network of its config, {'; '.join(said)} of {len(expected)} "
            "tensors: export it again"
        )
