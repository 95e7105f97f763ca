"""Fixed per-channel standardisation whose mean and variance are measured on the first training batches."""

import torch
from torch import nn

from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

EPS = 1e-6


class RunningStandard(nn.Module):
    """(x - mean) / std per channel. In training the first `batches` batches, of all processes together, add to the
    statistics; from then on they stay. Before the first batch it is the identity.
    """

    def __init__(self, channels: int, batches: int = 50):
        super().__init__()
        if batches < 1:
            raise UserError(f"standard_batches is {batches}; give the number of batches to measure on, at least 1.")
        self.batches = batches
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(channels, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (V, C) -> (V, C) float32."""
        x = x.float()
        if self.training and self.seen < self.batches:
            self.measure(x)
        return (x - self.mean.float()) / (self.variance + EPS).sqrt().float()

    @torch.no_grad()
    def measure(self, x: torch.Tensor):
        """Merge a batch (V, C) into the statistics; DDP does not share buffers, so the sums are taken here."""
        variance, mean = (moment.double() for moment in torch.var_mean(x, 0, correction=0))
        own = float(len(x))
        count = comm.reduce_sum_(mean.new_tensor(own))
        shared = comm.reduce_sum_(own * mean) / count
        squares = comm.reduce_sum_(own * (variance + (mean - shared).square()))  # about the mean of all processes
        total = self.count + count
        shift = shared - self.mean
        squares += self.count * (self.variance + shift.square() * count / total)
        self.mean += shift * count / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)
        self.seen += 1
