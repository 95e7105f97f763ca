"""Curves against bit loops and against what defines them."""

import itertools

import pytest
import torch

from pointcept_msm.models.layers.serialization import CURVES, encode_curve, encode_hilbert, encode_z


def morton_by_bits(x, y, z):
    code = 0
    for bit in range(16):
        for value, place in ((x, 2), (y, 1), (z, 0)):
            code |= (value >> bit & 1) << (3 * bit + place)
    return code


def test_z_order_equals_bit_loop():
    coord = torch.randint(0, 2**16, (200, 3), generator=torch.Generator().manual_seed(0))
    coord[0], coord[1] = 0, 2**16 - 1
    assert encode_z(coord).tolist() == [morton_by_bits(*row) for row in coord.tolist()]


@pytest.mark.parametrize("start", [(0, 0, 0), (40960, 8, 65520)])
def test_hilbert_steps_to_a_face_neighbour(start):
    """The defining property: along the curve each aligned cube is walked without a jump."""
    coord = torch.tensor(list(itertools.product(range(8), repeat=3))) + torch.tensor(start)
    code = encode_hilbert(coord)
    walked = coord[code.argsort()]
    assert (walked.diff(dim=0).abs().sum(1) == 1).all()
    assert int(code.max() - code.min()) == 8**3 - 1


def test_transposed_curves_exchange_x_and_y():
    coord = torch.randint(0, 2**16, (50, 3), generator=torch.Generator().manual_seed(1))
    for kind in ("z", "hilbert"):
        assert torch.equal(encode_curve(coord[:, [1, 0, 2]], f"xyz_{kind}"), encode_curve(coord, f"yxz_{kind}"))


def test_unknown_curve_names_the_known_ones():
    with pytest.raises(ValueError, match=CURVES[2]):
        encode_curve(torch.zeros(1, 3, dtype=torch.long), "peano")
