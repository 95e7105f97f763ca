"""Space-filling curves: an integer code for a voxel, so that near codes mean near voxels.

Z-order (Morton) and Hilbert (Skilling 2004, "Programming the Hilbert curve"), 16 bits an axis, each also with x and y
exchanged: the four orders of the released network (Table 12, "Z + TZ + H + TH"; as in PTv3).

An octant is one bit of x, y and z each, x first: three bits of a Morton code. Along any of the curves, what an octant
becomes depends on the octants before it only through one of a few states, so a code is read off a table.
"""

from functools import cache
from itertools import product

import torch

DEPTH = 16  # bits an axis; a scene may span 2**16 voxels
CURVES = ("xyz_z", "yxz_z", "xyz_hilbert", "yxz_hilbert")
OCTANTS_AT_ONCE = 4  # looked up together: 8 ** 4 entries a state


def encode_z(coord: torch.Tensor) -> torch.Tensor:
    """Morton code (...) int64 of coord (..., 3) in [0, 2**16); x holds the most significant bit of each triple."""
    table, shift = _spread_table(coord.device)
    return (table.index_select(0, coord.flatten()).view(coord.shape) << shift).sum(-1)


def encode_curves(morton: torch.Tensor) -> torch.Tensor:
    """Codes (3, V) int64 of Morton codes (V,) along CURVES[1:]; along the first, a Morton code is the code."""
    table, state = _walk_table(morton.device)
    chunk = 3 * OCTANTS_AT_ONCE
    low = (1 << chunk) - 1
    code = torch.zeros_like(morton)
    for shift in range(3 * DEPTH - chunk, -1, -chunk):
        entry = table[state + (morton >> shift & low)]
        state = entry & ~low
        code = torch.add(entry - state, code, alpha=1 << chunk)
    return code


@cache
def _spread_table(device):
    """(2 ** 16,) int64: each number with its bit i moved to bit 3 i; and how far each axis is shifted (3,)."""
    x = torch.arange(1 << DEPTH)
    return sum((x >> bit & 1) << 3 * bit for bit in range(DEPTH)).to(device), torch.tensor([2, 1, 0]).to(device)


@cache
def _walk_table(device):
    """(flat table, where in it each of CURVES[1:] starts (3, 1)). k octants are looked up at once: entry `state` 8**k +
    octants holds the state after them, shifted by 3 k bits, and their 3 k bits of the code."""
    states, step = [_start(curve) for curve in CURVES[1:]], []
    for state in states:  # grows while it is walked over
        for octant in product((0, 1), repeat=3):
            after, digit = _step(state, octant)
            if after not in states:
                states.append(after)
            step.append((states.index(after), digit))
    after, digit = torch.tensor(step).view(-1, 8, 2).unbind(-1)
    all_after, digits = after, digit
    for _ in range(OCTANTS_AT_ONCE - 1):
        digits, all_after = (digits[..., None] << 3 | digit[all_after]).flatten(1), after[all_after].flatten(1)
    table = all_after << 3 * OCTANTS_AT_ONCE | digits
    start = torch.arange(len(CURVES) - 1)[:, None] << 3 * OCTANTS_AT_ONCE
    return table.flatten().to(device), start.to(device)


def _start(curve):
    """State at the start: kind, source of each axis, whether it is inverted, parity of the code's bits so far."""
    return curve[4:], dict(xyz=(0, 1, 2), yxz=(1, 0, 2))[curve[:3]], (0, 0, 0), 0


def _step(state, octant):
    """State after `octant` and the three bits that it becomes: one round of Skilling's loop, his Gray code undone."""
    kind, source, inverted, parity = state
    bits = [octant[axis] ^ flip for axis, flip in zip(source, inverted, strict=True)]
    if kind == "z":
        return state, bits[0] << 2 | bits[1] << 1 | bits[2]
    source, inverted, digit = list(source), list(inverted), 0
    for axis, bit in enumerate(bits):
        if bit:
            inverted[0] ^= 1
        else:
            source[0], source[axis] = source[axis], source[0]
            inverted[0], inverted[axis] = inverted[axis], inverted[0]
        parity ^= bit
        digit = digit << 1 | parity
    return (kind, tuple(source), tuple(inverted), parity), digit
