"""Rows of features to where the caller wants them: a tensor on their device, or an array that is written once."""

import numpy as np
import torch

ROWS_A_COPY = 1 << 14  # from a GPU to an array, through two buffers of that many rows


def empty_rows(rows: int, like: torch.Tensor, output: str):
    """Room for (rows, C) features as `like` (K, C): output "numpy" gives an array, "torch" a tensor on its device."""
    if output == "numpy":
        return np.empty((rows, like.shape[1]), dtype=np.float32)
    return like.new_empty(rows, like.shape[1])


def write_rows(feat: torch.Tensor, place: torch.Tensor, out, rows: torch.Tensor | None = None) -> None:
    """Write rows `place` (M,) of `feat` (K, C) to `out` (N, C), an array or tensor: to its `rows` (M,), or all of it.

    From a GPU to an array by blocks through page-locked buffers, so that gathering, copying and writing overlap and
    nothing of the array's size is made beside it.
    """
    target = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
    blocks = [slice(start, start + ROWS_A_COPY) for start in range(0, len(place), ROWS_A_COPY)]
    if target.device == feat.device:
        if rows is None:
            torch.index_select(feat, 0, place, out=target)
            return
        for block in blocks:
            target.index_copy_(0, rows[block], feat[place[block]])
        return
    rows = rows if rows is None else rows.cpu()
    buffers = [torch.empty(ROWS_A_COPY, feat.shape[1], pin_memory=True) for _ in range(2)]
    copied = None
    for number, block in enumerate(blocks):
        some = feat[place[block]]
        buffer, event = buffers[number % 2][: len(some)], torch.cuda.Event()
        buffer.copy_(some, non_blocking=True)
        event.record()
        if copied is not None:
            _finish(*copied, target, rows)
        copied = event, buffer, block
    if copied is not None:
        _finish(*copied, target, rows)


def _finish(event, buffer, block, target, rows):
    """Wait for the copy to a buffer, and bring it to its rows."""
    event.synchronize()
    if rows is None:
        target[block].copy_(buffer)
    else:
        target.index_copy_(0, rows[block], buffer)
