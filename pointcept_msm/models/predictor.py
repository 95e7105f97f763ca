"""The small head between the student's decoder and the loss, one a level, in the student only (Fig. 4, module phi)."""

from torch import nn

from pointcept_msm.runtime.errors import UserError

PREDICTORS = ("mlp", "linear", "none")


def build_predictor(kind: str | None, channels: int, ratio: int = 4) -> nn.Module:
    """Module (M, C) -> (M, C). mlp: Linear C -> ratio C, GELU, Linear -> C; linear; none, or None, which is what a
    command line makes of it: identity. UserError: another kind."""
    if kind in ("none", None):
        return nn.Identity()
    if kind not in PREDICTORS:
        raise UserError(f"predictor is {kind!r}; choose one of {', '.join(PREDICTORS)}.")
    if kind == "linear":
        return nn.Linear(channels, channels)
    return nn.Sequential(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))
