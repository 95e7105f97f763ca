"""EventStorage: running scalars of an epoch (Pointcept's interface), without forcing a device synchronisation."""

import torch


class AverageMeter:
    """Last value, sum and mean; holds device tensors as they come and turns them into floats when they are read."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._val, self._total, self.count = 0.0, 0.0, 0

    def update(self, value, n=1):
        self._val = value
        self._total = self._total + value * n
        self.count += n

    @property
    def val(self):
        return _to_number(self._val)

    @property
    def total(self):
        return _to_number(self._total)

    @property
    def avg(self):
        return self.total / max(self.count, 1)


def _to_number(value):
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value


class EventStorage:
    """Use as a context manager, as in Pointcept; values may be numbers, one-element tensors or arrays."""

    def __init__(self):
        self._history = {}

    def put_scalar(self, name, value, n=1):
        self.history(name).update(value, n)

    def put_scalars(self, **scalars):
        for name, value in scalars.items():
            self.put_scalar(name, value)

    def history(self, name):
        return self._history.setdefault(name, AverageMeter())

    def histories(self):
        return dict(self._history)

    def reset_histories(self):
        for meter in self._history.values():
            meter.reset()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False
