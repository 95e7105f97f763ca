"""Banded attention against full softmax, written out."""

import itertools

import pytest
import torch

from pointcept_msm.models.layers import attention
from pointcept_msm.models.layers.attention import band_attention, build_band_mask
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import join, random_scene


def full_softmax(query, key, value, batch, half_window):
    place = torch.arange(len(batch), device=batch.device)
    seen = (place[:, None] - place[None]).abs() <= half_window
    seen &= batch[:, None] == batch[None]
    score = torch.einsum("ihd,jhd->hij", query, key) * query.shape[-1] ** -0.5
    weight = score.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hij,jhd->ihd", weight, value)


@pytest.mark.parametrize("sizes", [[50], [1], [7, 30, 1, 13], [8, 8], [600, 500]])
@pytest.mark.parametrize("half_window", [1, 4, 16, 200, 600])  # of 600 a row sees none of the first 512 keys
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


def test_on_a_cpu_no_mask_is_infinite(monkeypatch):
    """torch 2.4 gives NaN where a stretch of keys is all -inf; later releases do not, so the sum would not tell."""
    seen, attend = [], torch.nn.functional.scaled_dot_product_attention
    spy = lambda *x, attn_mask, **more: seen.append(attn_mask) or attend(*x, attn_mask=attn_mask, **more)  # noqa: E731
    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", spy)
    for dropout in (0.0, 0.3):
        band_attention(*torch.randn(3, 50, 2, 4), build_band_mask(torch.zeros(50), 8), 8, dropout)
    assert len(seen) >= 2 and all(mask.is_floating_point() and mask.isfinite().all() for mask in seen)


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


def flash_stand_in(query, key, value, **kwargs):
    """What torch's flash kernel computes, by full softmax, scene by scene."""
    assert kwargs["max_q"] == kwargs["max_k"] and kwargs["cum_seq_q"].dtype == torch.int32
    ends, window = kwargs["cum_seq_q"].tolist(), kwargs["window_size_left"]
    assert kwargs["max_q"] == max(b - a for a, b in itertools.pairwise(ends)) and window == kwargs["window_size_right"]
    assert ends == kwargs["cum_seq_k"].tolist() and not kwargs["is_causal"]
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
    return torch.cat([full_softmax(query[p], key[p], value[p], torch.zeros(len(query[p])), window) for p in parts]), 0


@pytest.mark.parametrize("window", [2, 8, 200])
def test_the_flash_kernel_is_asked_for_the_same_sum(window, monkeypatch):
    pyramid, _ = build_pyramid(**scene_grid(), num_levels=2)
    query, key, value = torch.randn(3, pyramid.count(1), 2, 8, dtype=torch.float64)
    band = attention.window_attention(query, key, value, pyramid, 1, window)
    monkeypatch.setattr(attention, "flash_fits", lambda query: True)
    monkeypatch.setattr(attention, "flash_kernel", lambda: flash_stand_in)
    torch.testing.assert_close(attention.window_attention(query, key, value, pyramid, 1, window), band)


def scene_grid():
    """Three scenes, the second empty."""
    scene = join(random_scene(200, seed=0), random_scene(90, seed=1))
    return dict(grid_coord=scene["grid_coord"], offset=torch.tensor([200, 200, 290]))


def test_this_release_has_the_flash_kernel_and_a_cpu_does_not_use_it():
    assert attention.flash_kernel() is not None
    assert not attention.flash_fits(torch.zeros(4, 2, 8, dtype=torch.bfloat16))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("head", [8, 16, 32])
def test_the_flash_kernel_equals_full_softmax_on_a_gpu(dtype, head):
    """Value and gradients, on scenes of different lengths, one of them empty; with dropout the mean is kept."""
    pyramid, _ = build_pyramid(**{key: x.cuda() for key, x in scene_grid().items()}, num_levels=2)
    shape = (3, pyramid.count(1), 4, head)
    inputs = [x.requires_grad_() for x in torch.randn(shape, dtype=dtype, device="cuda")]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    assert attention.flash_fits(inputs[0])
    ours = attention.window_attention(*inputs, pyramid, 1, 16)
    theirs = full_softmax(*exact, pyramid.batch(1), 16)
    weight = torch.randn_like(theirs)
    gradients = [torch.autograd.grad((x * weight).sum(), y) for x, y in ((ours, inputs), (theirs, exact))]
    allowed = 0.02 if dtype == torch.bfloat16 else 0.003
    for a, b in [(ours, theirs), *zip(*gradients, strict=True)]:
        assert float((a.double() - b).norm() / b.norm()) < allowed
    ones = torch.ones_like(inputs[2])
    dropped = attention.window_attention(*inputs[:2], ones, pyramid, 1, 16, dropout=0.5)
    assert abs(float(dropped.float().mean()) - 1) < 0.05 and dropped.float().std() > 0.01
