"""Blocks: what a GPU makes again in the backward pass changes no gradient, and is not kept."""

import pytest
import torch

from pointcept_msm.models.layers.blocks import ResNetBlock
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import random_scene


@pytest.mark.parametrize("half", [False, True])
def test_inputs_of_convolutions_are_made_again_with_the_same_gradients(monkeypatch, half):
    scene = random_scene(300)
    pyramid, _ = build_pyramid(scene["grid_coord"], scene["offset"], 2)
    block, feat = ResNetBlock(8), torch.randn(300, 8)
    found, kept = {}, {}
    for remakes in (False, True):
        monkeypatch.setattr(ResNetBlock, "_remakes", lambda self, x, remakes=remakes: remakes)
        block.zero_grad()
        x, sizes = feat.clone().requires_grad_(), {}

        def keep(tensor, sizes=sizes):
            sizes[tensor.data_ptr()] = tensor.nbytes * (len(tensor) == len(feat))
            return tensor

        autocast = torch.autocast("cpu", torch.bfloat16, enabled=half)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
            value = block(x, pyramid, 0)
        value.float().square().sum().backward()  # outside of autocast, as trainers do
        found[remakes] = [value.detach(), x.grad, *(p.grad.clone() for p in block.parameters())]
        kept[remakes] = sum(sizes.values())
    assert all(torch.equal(a, b) for a, b in zip(found[False], found[True], strict=True))
    assert kept[True] <= 0.8 * kept[False]
