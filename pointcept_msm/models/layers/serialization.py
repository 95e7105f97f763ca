"""Space-filling curves: an integer code for a voxel, so that near codes mean near voxels.

Z-order (Morton) and Hilbert (Skilling 2004, "Programming the Hilbert curve"), 16 bits an axis, each also with x and y
exchanged: the four orders of the released network (Table 12, "Z + TZ + H + TH"; as in PTv3).
"""

import torch

DEPTH = 16  # bits an axis; a scene may span 2**16 voxels
CURVES = ("xyz_z", "yxz_z", "xyz_hilbert", "yxz_hilbert")


def spread_bits(x: torch.Tensor) -> torch.Tensor:
    """Move bit i of x (int64, < 2**16) to bit 3 i."""
    x = (x | x << 32) & 0x1F00000000FFFF
    x = (x | x << 16) & 0x1F0000FF0000FF
    x = (x | x << 8) & 0x100F00F00F00F00F
    x = (x | x << 4) & 0x10C30C30C30C30C3
    return (x | x << 2) & 0x1249249249249249


def encode_z(coord: torch.Tensor) -> torch.Tensor:
    """Morton code (V,) int64 of coord (V, 3) int64 in [0, 2**16); x holds the most significant bit of each triple."""
    return spread_bits(coord[:, 0]) << 2 | spread_bits(coord[:, 1]) << 1 | spread_bits(coord[:, 2])


def encode_hilbert(coord: torch.Tensor) -> torch.Tensor:
    """Hilbert code (V,) int64 of coord (V, 3) int64 in [0, 2**16)."""
    axes = [coord[:, 0].clone(), coord[:, 1].clone(), coord[:, 2].clone()]
    for bit in range(DEPTH - 1, 0, -1):
        low = (1 << bit) - 1
        for axis in range(3):
            on = (axes[axis] >> bit & 1).bool()
            exchange = torch.where(on, 0, (axes[0] ^ axes[axis]) & low)
            axes[0] = torch.where(on, axes[0] ^ low, axes[0] ^ exchange)
            if axis > 0:
                axes[axis] = axes[axis] ^ exchange
    code = encode_z(torch.stack(axes, 1))
    for shift in (1, 2, 4, 8, 16, 32):  # Gray code to binary: prefix XOR
        code = code ^ code >> shift
    return code


def encode_curve(coord: torch.Tensor, curve: str) -> torch.Tensor:
    """Code (V,) int64 of coord (V, 3) along `curve`, one of CURVES."""
    if curve not in CURVES:
        raise ValueError(f"Unknown curve {curve!r}; choose one of {', '.join(CURVES)}.")
    axes, kind = curve.split("_")
    if axes == "yxz":
        coord = coord[:, [1, 0, 2]]
    return encode_z(coord) if kind == "z" else encode_hilbert(coord)
