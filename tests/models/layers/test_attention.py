"""Banded attention against full softmax, written out."""

import pytest
import torch

from pointcept_msm.models.layers import attention
from pointcept_msm.models.layers.attention import band_attention, build_band_mask


def full_softmax(query, key, value, batch, half_window):
    place = torch.arange(len(batch))
    seen = (place[:, None] - place[None]).abs() <= half_window
    seen &= batch[:, None] == batch[None]
    score = torch.einsum("ihd,jhd->hij", query, key) * query.shape[-1] ** -0.5
    weight = score.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hij,jhd->ihd", weight, value)


@pytest.mark.parametrize("sizes", [[50], [1], [7, 30, 1, 13], [8, 8]])
@pytest.mark.parametrize("half_window", [1, 4, 16, 200])
def test_value_and_gradients_equal_full_softmax(sizes, half_window):
    generator = torch.Generator().manual_seed(0)
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    shape = (3, len(batch), 2, 4)
    inputs = [x.requires_grad_() for x in torch.randn(shape, generator=generator, dtype=torch.float64)]
    ours = band_attention(*inputs, build_band_mask(batch, half_window), half_window)
    theirs = full_softmax(*inputs, batch, half_window)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    weight = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((x * weight).sum(), inputs) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_dropout_in_parts_keeps_the_mean_and_repeats_its_draws_in_backward(monkeypatch):
    """With dropout the blocks are attended in parts: the expectation is plain attention, the gradient fits the draw."""
    monkeypatch.setattr(attention, "WEIGHTS_AT_ONCE", 1)
    batch = torch.repeat_interleave(torch.arange(2), torch.tensor([20, 30]))
    query, key, value = torch.randn(3, 50, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = build_band_mask(batch, 8)
    draws = torch.stack([band_attention(query, key, value, mask, 8, dropout=0.3) for _ in range(800)])
    plain = band_attention(query, key, value, mask, 8)
    assert (draws.std(0) > 0).all()
    assert (draws.mean(0) - plain).abs().max() < 6 * draws.std(0).max() / 800**0.5

    value.requires_grad_()
    out = band_attention(query, key, value, mask, 8, dropout=0.3)
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    # The output is linear in value for a fixed draw: <gradient, value> must be the output's own product.
    torch.testing.assert_close((value.grad * value).sum(), (out * weight).sum())
