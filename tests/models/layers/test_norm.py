"""RMSNorm and drop path against their formulas."""

import torch

from pointcept_msm.models.layers.norm import RMSNorm, SkipPath


def test_value_equals_the_formula_and_gradient_its_differences():
    norm = RMSNorm(5).double()
    torch.nn.init.normal_(norm.scale)
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    expected = [
        [s * v / ((sum(w * w for w in row) / 5) ** 0.5 + 1e-4) for s, v in zip(norm.scale.tolist(), row)]
        for row in x.tolist()
    ]
    torch.testing.assert_close(norm(x), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(norm, (x,))
    assert torch.autograd.gradcheck(
        lambda s: torch.func.functional_call(norm, dict(scale=s), (x.detach(),)), (norm.scale,)
    )


def test_a_row_of_zeros_gives_zeros_and_a_finite_gradient():
    x = torch.zeros(2, 4, requires_grad=True)
    out = RMSNorm(4)(x)
    out.sum().backward()
    assert torch.equal(out, torch.zeros(2, 4)) and torch.isfinite(x.grad).all()


def test_half_precision_is_normalised_in_float32():
    x = torch.randn(6, 8).bfloat16()
    assert RMSNorm(8)(x).dtype == torch.bfloat16
    torch.testing.assert_close(RMSNorm(8)(x).float(), RMSNorm(8)(x.float()), atol=0.02, rtol=0.01)


def test_drop_path_drops_whole_scenes_and_keeps_the_mean():
    torch.manual_seed(0)
    skip = SkipPath(3, init=0.1, drop=0.4).train()
    x, residual, batch = torch.ones(6, 3), torch.full((6, 3), 2.0), torch.tensor([0, 0, 1, 1, 1, 2])
    draws = torch.stack([skip(x, residual, batch, 3) for _ in range(500)]).detach()
    values = draws[:, [0, 2, 5], 0]
    for scene, rows in enumerate(([0, 1], [2, 3, 4], [5])):
        assert (draws[:, rows] == values[:, scene, None, None]).all()
    kept = torch.tensor(2 + 0.1 / 0.6)
    assert set(values.unique().tolist()) <= {2.0, *(values[values > 2].unique().tolist())}
    torch.testing.assert_close(values[values > 2], kept.expand((values > 2).sum()))
    assert abs(float((values > 2).float().mean()) - 0.6) < 0.05
    torch.testing.assert_close(skip.eval()(x, residual, batch, 3), residual + 0.1)
