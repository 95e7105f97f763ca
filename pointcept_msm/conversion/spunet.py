"""Pointcept's SpUNet by its tensors alone: which network a state dict belongs to, and every tensor that one has.

Needed because the network itself can be built in the Pointcept host only, while its weights are converted anywhere.
Names and layouts are those of SpUNet-v1m1 (spconv 2: weight (out, kx, ky, kz, in)); checked against it by test.
"""

from collections.abc import Mapping, Sequence

import torch

from pointcept_msm.runtime.errors import UserError

TYPE = "MSM-SpUNet-v1m1"


def infer_spunet_config(state: Mapping[str, torch.Tensor], path="the file") -> dict:
    """The arguments of the network whose tensors these are. UserError: not a SpUNet's."""
    try:
        stem = state["conv_input.0.weight"].shape
        stages = _count(state, "down.{}.0.weight")
        enc = [state[f"down.{s}.0.weight"].shape[0] for s in range(stages)]
        dec = [state[f"dec.{s}.block0.conv1.weight"].shape[0] for s in reversed(range(stages))]
    except (KeyError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is not of a SpUNet with a decoder ({error}): choose the --source it comes from"
        ) from error
    layers = [_count(state, f"enc.{s}.block{{}}.conv1.weight") for s in range(stages)]
    layers += [_count(state, f"dec.{s}.block{{}}.conv1.weight") for s in reversed(range(stages))]
    return dict(type=TYPE, in_channels=stem[-1], base_channels=stem[0], channels=[*enc, *dec], layers=layers)


def spunet_tensors(
    in_channels: int = 6,
    base_channels: int = 32,
    channels: Sequence[int] = (32, 64, 128, 256, 256, 128, 96, 96),
    layers: Sequence[int] = (2, 3, 4, 6, 2, 2, 2, 2),
    **other,
) -> dict[str, torch.Tensor]:
    """Every tensor of the network, on the meta device: names, shapes and types without values."""
    stages = len(channels) // 2
    enc, dec = list(channels[:stages]), list(channels[: stages - 1 : -1])  # both fine to coarse
    skip = [base_channels, *enc[:-1]]  # width that stage s starts from, and that its decoder gets beside
    below = [*dec[1:], enc[-1]]
    found = _conv("conv_input.0", base_channels, 5, in_channels) | _norm("conv_input.1", base_channels)
    for s in range(stages):
        found |= _conv(f"down.{s}.0", enc[s], 2, skip[s]) | _norm(f"down.{s}.1", enc[s])
        found |= _conv(f"up.{s}.0", dec[s], 2, below[s]) | _norm(f"up.{s}.1", dec[s])
        for i in range(layers[s]):
            found |= _block(f"enc.{s}.block{i}", enc[s], enc[s])
        for i in range(layers[len(layers) - s - 1]):
            found |= _block(f"dec.{s}.block{i}", dec[s] + (skip[s] if i == 0 else 0), dec[s])
    return found


def _block(name, wide, narrow):
    """Two convolutions, and a projection of the input where its width differs."""
    found = _conv(f"{name}.conv1", narrow, 3, wide) | _norm(f"{name}.bn1", narrow)
    found |= _conv(f"{name}.conv2", narrow, 3, narrow) | _norm(f"{name}.bn2", narrow)
    if wide != narrow:
        found |= _conv(f"{name}.proj.0", narrow, 1, wide) | _norm(f"{name}.proj.1", narrow)
    return found


def _conv(name, out, size, width):
    return {f"{name}.weight": torch.empty(out, size, size, size, width, device="meta")}


def _norm(name, width):
    """Batch norm's parameters and running statistics."""
    found = {
        f"{name}.{n}": torch.empty(width, device="meta") for n in ("weight", "bias", "running_mean", "running_var")
    }
    return found | {f"{name}.num_batches_tracked": torch.empty((), dtype=torch.long, device="meta")}


def _count(state, pattern):
    """How many of pattern.format(0), (1), ... there are."""
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count
