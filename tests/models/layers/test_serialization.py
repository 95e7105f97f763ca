"""Curves against bit loops and against what defines them."""

import itertools

import torch

from pointcept_msm.models.layers.serialization import CURVES, encode_curves, encode_z


def random_coord(count=300):
    coord = torch.randint(0, 2**16, (count, 3), generator=torch.Generator().manual_seed(0))
    coord[0], coord[1], coord[2:100] = 0, 2**16 - 1, coord[2:100] % 16
    return coord


def morton_by_bits(x, y, z):
    code = 0
    for bit in range(16):
        for value, place in ((x, 2), (y, 1), (z, 0)):
            code |= (value >> bit & 1) << (3 * bit + place)
    return code


def hilbert_by_bits(*axes):
    """Skilling's AxesToTranspose, bit by bit, and the transpose read as one number."""
    axes = list(axes)
    for bit in range(15, 0, -1):
        low = (1 << bit) - 1
        for axis in range(3):
            if axes[axis] >> bit & 1:
                axes[0] ^= low
            else:
                exchange = (axes[0] ^ axes[axis]) & low
                axes[0], axes[axis] = axes[0] ^ exchange, axes[axis] ^ exchange if axis else axes[0] ^ exchange
    gray = morton_by_bits(*axes)
    code = 0
    while gray:
        code, gray = code ^ gray, gray >> 1
    return code


def test_z_order_equals_bit_loop():
    coord = random_coord()
    assert encode_z(coord).tolist() == [morton_by_bits(*row) for row in coord.tolist()]
    assert torch.equal(encode_z(coord.view(3, 100, 3)), encode_z(coord).view(3, 100))


def test_the_other_curves_equal_bit_loops():
    coord = random_coord()
    by_bits = dict(z=morton_by_bits, hilbert=hilbert_by_bits)
    for name, code in zip(CURVES[1:], encode_curves(encode_z(coord)), strict=True):
        axes, kind = name.split("_")
        turned = coord[:, ["xyz".index(axis) for axis in axes]]
        assert code.tolist() == [by_bits[kind](*row) for row in turned.tolist()]


def test_hilbert_steps_to_a_face_neighbour():
    """The defining property: along the curve each aligned cube is walked without a jump."""
    coord = torch.tensor(list(itertools.product(range(8), repeat=3))) + torch.tensor([40960, 8, 65520])
    code = encode_curves(encode_z(coord))[CURVES.index("xyz_hilbert") - 1]
    walked = coord[code.argsort()]
    assert (walked.diff(dim=0).abs().sum(1) == 1).all()
    assert int(code.max() - code.min()) == 8**3 - 1
