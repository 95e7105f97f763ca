"""A network from a config, with the weights of a file that is not trusted: all names and shapes are compared first."""

import logging
from collections.abc import Mapping

from torch import nn

from pointcept_msm.files.state_match import match_state
from pointcept_msm.files.weights import find_weights, load_checkpoint
from pointcept_msm.host import build_model
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")


def build_from_file(config: Mapping, state_dict: Mapping | None, source: str = "the file") -> nn.Module:
    """The network of `config`, both from the file `source`, with the weights of `state_dict` (None: as initialised).

    UserError: no such network, or another one than the weights belong to.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise UserError(f"{source} does not say what network it holds (config {config!r:.80}): export it again")
    try:
        network = build_model(dict(config))
    except Exception as error:  # arguments of any kind reach the constructor
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{source} holds a config from which no network can be built ({reason})") from error
    if state_dict is not None:
        network.load_state_dict(match_state(state_dict, network.state_dict(), source).state)
    return network


def build_backbone(config, weight: str | None = None) -> nn.Module:
    """The network of `config`, giving hierarchical features (V, out_channels); started from `weight` if given.

    config: None takes the network that `weight` holds. weight: a file, a run's folder, or the name of shipped weights.
    UserError: neither, or the file belongs to another network.
    """
    if not (config or weight):
        raise UserError("the model has neither a backbone nor a weight; give backbone=dict(type=...) or weight=FILE")
    if not weight:
        return build_model(dict(config, output="hierarchical"))
    state, own, meta = load_checkpoint(find_weights(weight))
    network = build_model(dict(config or own, output="hierarchical"))
    network.built_from = config or own  # for the export: the run's config need not hold it
    step = "give `backbone` the sizes that the file was trained with"
    network.load_state_dict(match_state(state, network.state_dict(), weight, next_step=step).state)
    facts = {key: meta.get(key) for key in ("network", "grid_size", "features", "steps")}
    LOGGER.info("backbone starts from %s: %s", weight, facts)
    return network
