"""A backbone that starts from an exported network (student.safetensors, teacher.safetensors, backbone.safetensors)."""

import logging

from torch import nn

from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.host import build_model

LOGGER = logging.getLogger("msm")


def build_backbone(config, weight: str | None = None) -> nn.Module:
    """The network of `config`, giving hierarchical features (V, out_channels); started from the file `weight` if given.

    Raises ValueError when the file belongs to another network.
    """
    network = build_model(dict(config, output="hierarchical"))
    if weight:
        state_dict, _, meta = load_checkpoint(weight)
        check_fit(network.state_dict(), state_dict, weight)
        network.load_state_dict(state_dict)
        facts = {key: meta.get(key) for key in ("network", "grid_size", "features", "steps")}
        LOGGER.info("backbone starts from %s: %s", weight, facts)
    return network


def check_fit(own, given, source):
    """Raise ValueError unless both state dicts have the same names and shapes."""
    odd = sorted(own.keys() ^ given.keys()) or sorted(key for key in own if own[key].shape != given[key].shape)
    if odd:
        shapes = [tuple(state[odd[0]].shape) if odd[0] in state else "nothing" for state in (own, given)]
        raise ValueError(
            f"{source} does not fit the backbone: {len(odd)} tensors differ, such as {odd[0]}, {shapes[0]} in the "
            f"config and {shapes[1]} in the file; give `backbone` the sizes that the file was trained with."
        )
