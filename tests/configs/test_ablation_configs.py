"""Each ablation changes what its name says, and nothing else; each has a tiny twin with the same change."""

import pytest
import torch

from pointcept_msm.embedded.defaults import load_run_config
from pointcept_msm.host import build_model
from tests.configs.test_configs import CONFIGS

NAMES = sorted({path.stem.removesuffix("-tiny") for path in CONFIGS if path.stem.startswith("ablation-")})
DEPTHS = ("enc_conv_depths", "enc_attn_depths", "dec_conv_depths", "dec_attn_depths")


def flatten(node, path=""):
    if not hasattr(node, "items"):
        return {path: node}
    return {key: value for name, child in node.items() for key, value in flatten(child, f"{path}.{name}").items()}


def changes(stem, base):
    """Dotted key -> new value of all that an ablation's config changes or adds."""
    ours, theirs = (flatten(load_run_config(name)._cfg_dict) for name in (stem, base))
    assert not theirs.keys() - ours.keys()
    return {k: v for k, v in ours.items() if v != theirs.get(k, "absent") and k != ".save_path"}


def count(cfg):
    return sum(p.numel() for p in build_model(cfg.model.backbone).parameters())


def test_all_are_there():
    wanted = "attention-only conv-only cosine last-level mask-ratio no-mask patch-size predictor-linear predictor-none"
    wanted += " same-view smooth-l1 supervise-all top-down visible"
    assert {f"ablation-{name}" for name in wanted.split()} == set(NAMES)


@pytest.mark.parametrize("stem", NAMES)
def test_one_change_to_the_model_and_the_same_in_the_twin(stem):
    full, tiny = changes(stem, "pretrain-scannet-4cm"), changes(f"{stem}-tiny", "pretrain-rooms-tiny")
    if stem in ("ablation-conv-only", "ablation-attention-only"):
        assert full.keys() == tiny.keys() == {f".model.backbone.{key}" for key in DEPTHS}
        gone = "attn" if "conv" in stem else "conv"
        assert all(
            not any(cfg[f".model.backbone.{side}_{gone}_depths"]) for cfg in (full, tiny) for side in ("enc", "dec")
        )
    else:
        assert full == tiny and len(full) == 1 and next(iter(full)).startswith(".model.")


@pytest.mark.parametrize("stem", NAMES)
def test_the_tiny_twin_builds(stem):
    cfg = load_run_config(f"{stem}-tiny")
    model = build_model(cfg.model)
    assert hasattr(model, "student")
    reference = count(load_run_config("pretrain-rooms-tiny"))
    assert abs(count(cfg) / reference - 1) < 0.1, "as many parameters as the hybrid, to a tenth"
    assert torch.isfinite(torch.cat([p.flatten() for p in model.parameters()])).all()
