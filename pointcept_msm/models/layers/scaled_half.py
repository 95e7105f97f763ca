"""float16 in place of bfloat16, for kernels that have only the former: more digits, less range, hence a scale."""

import torch

MOST = 65504.0  # largest float16
LEAST = 2.0**-60  # what is smaller throughout counts as zero: the scale must stay finite


def scale_to_half(x: torch.Tensor, limit: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x times a power of two in float16, its largest magnitude at most `limit`; and that power, float32 (). Values that
    are not finite give values that are not finite."""
    top = x.abs().amax().float().clamp(min=LEAST)
    scale = torch.exp2(torch.floor(torch.log2(limit / top)))
    return (x.float() * scale).half(), scale
