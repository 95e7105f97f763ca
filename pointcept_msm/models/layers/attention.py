"""Attention in a sliding band along a space-filling curve: position i sees i - w ... i + w of its own scene.

The released network calls flash-attn with window_size = (window / 2, window / 2) on one sequence a scene. In half
precision on a GPU this is torch's own flash kernel with that window; elsewhere the same sum, exact, through
`scaled_dot_product_attention` on blocks of keys, at O(V window) memory.
"""

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

# With dropout PyTorch has no fused CPU kernel and writes out all attention weights, several GiB for a 2 cm scene. Then
# blocks are taken a few at a time, and their weights computed again in the backward pass.
WEIGHTS_AT_ONCE = 1 << 25
FLASH_CAPABILITY = (8, 0)  # NVIDIA GPUs from Ampere on
FLASH_ARGUMENTS = {"cum_seq_q", "cum_seq_k", "max_q", "max_k", "dropout_p", "window_size_left", "window_size_right"}


def window_attention(query, key, value, pyramid, level: int, half_window: int, dropout: float = 0.0) -> torch.Tensor:
    """query, key, value (V_l, heads, D) of a pyramid's level, in the order of any curve -> (V_l, heads, D)."""
    if not flash_fits(query):
        # Scenes stay contiguous along every curve, so one mask serves all of them.
        make_mask = partial(build_band_mask, pyramid.batch(level), half_window)
        mask = pyramid.keep(("mask", level, half_window), make_mask)
        return band_attention(query, key, value, mask, half_window, dropout)
    starts, longest = pyramid.scene_starts(level)
    return flash_kernel()(
        query, key, value, cum_seq_q=starts, cum_seq_k=starts, max_q=longest, max_k=longest, dropout_p=dropout,
        is_causal=False, return_debug_mask=False, window_size_left=half_window, window_size_right=half_window,
    )[0]  # fmt: skip


def flash_fits(query: torch.Tensor) -> bool:
    """Whether torch's flash kernel takes queries (V, heads, D) of this kind, on this device."""
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16) or torch.version.cuda is None:
        return False
    head = query.shape[-1]
    able = torch.cuda.get_device_capability(query.device) >= FLASH_CAPABILITY
    return able and head % 8 == 0 and head <= 256 and flash_kernel() is not None


@cache
def flash_kernel():
    """torch's flash kernel for sequences of different lengths; None in a release in which it takes no window. It is
    private, so its arguments are looked at."""
    kernel = getattr(torch.ops.aten, "_flash_attention_forward", None)
    known = {argument.name for argument in kernel.default._schema.arguments} if kernel else set()
    return kernel.default if known >= FLASH_ARGUMENTS else None


def build_band_mask(batch: torch.Tensor, half_window: int) -> torch.Tensor:
    """Who sees whom: (blocks, 1, w, 3 w) bool for batch (V,), the scene of each position (scenes contiguous)."""
    block = _block_size(len(batch), half_window)
    blocks = -(-len(batch) // block)
    scene = F.pad(batch, (0, blocks * block - len(batch)), value=-1)  # tail padding sees only itself: no empty row
    query = scene.view(blocks, block)
    key = F.pad(scene, (block, block), value=-2).unfold(0, 3 * block, block)  # (blocks, 3 w)
    step = torch.arange(block, device=batch.device)
    distance = torch.arange(3 * block, device=batch.device)[None] - block - step[:, None]  # (w, 3 w)
    in_band = distance.abs() <= half_window
    return ((query[:, :, None] == key[:, None, :]) & in_band)[:, None]


def band_attention(query, key, value, mask, half_window: int, dropout: float = 0.0) -> torch.Tensor:
    """query, key, value (V, heads, D) in curve order, mask from `build_band_mask` -> (V, heads, D)."""
    count = len(query)
    block = _block_size(count, half_window)
    tail = mask.shape[0] * block - count
    queries = F.pad(query, (0, 0, 0, 0, 0, tail)).unflatten(0, (-1, block)).transpose(1, 2)  # (blocks, heads, w, D)
    keys, values = (
        F.pad(x, (0, 0, 0, 0, block, block + tail)).unfold(0, 3 * block, block).transpose(2, 3) for x in (key, value)
    )  # (blocks, heads, 3 w, D)
    attend = _attend if dropout == 0 or query.is_cuda else _attend_in_parts
    return attend(queries, keys, values, mask, dropout).transpose(1, 2).flatten(0, 1)[:count]


def _attend(queries, keys, values, mask, dropout):
    if not mask.is_cuda:  # -inf, which a mask of bool means, is NaN in torch 2.4 where a row sees none of 512 keys
        mask = torch.where(mask, queries.new_zeros(()), torch.finfo(queries.dtype).min / 2)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=dropout)


def _attend_in_parts(queries, keys, values, mask, dropout):
    weights = queries.shape[1] * queries.shape[2] * keys.shape[2]  # of one block
    parts = [x.split(max(1, WEIGHTS_AT_ONCE // weights)) for x in (queries, keys, values, mask)]
    return torch.cat([checkpoint(_attend, *part, dropout, use_reentrant=False) for part in zip(*parts, strict=True)])


def _block_size(count: int, half_window: int) -> int:
    return max(1, min(count, half_window))
