"""The small head between the student's decoder and the loss, one a level, in the student only (Fig. 4, module phi)."""

from torch import nn

PREDICTORS = ("mlp", "linear", "none")


def build_predictor(kind: str, channels: int, ratio: int = 4) -> nn.Module:
    """Module (M, C) -> (M, C). mlp: Linear C -> ratio C, GELU, Linear -> C; linear; none: identity."""
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(channels, channels)
    return nn.Sequential(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))
