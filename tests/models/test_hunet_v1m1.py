"""The network against the released one (golden file, state dict), and its invariances."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcept_msm.models.feature_sampling import sample_levels
from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from tests.golden.golden_weights import golden_weight
from tests.models.sparse_scenes import TINY, join, random_scene

GOLDEN = Path(__file__).parents[1] / "golden"


def relative_error(value, reference):
    """|value - reference| / |reference|, printed (`pytest -s`) for docs/results.md."""
    error = float((value - reference).norm() / reference.norm())
    print(f"relative error {error:.1e}")
    return error


def load_golden():
    return {key: torch.from_numpy(array) for key, array in np.load(GOLDEN / "released_small.npz").items()}


def run_golden(golden, device="cpu"):
    """Levels of the released network in small, on the golden input, back on the CPU."""
    network = MSMHUNet(
        6, (16, 16, 32, 32, 48), (1, 2, 1, 2, 1), (0, 0, 1, 2, 3), (2, 2, 4, 4, 6),
        (16, 24, 32, 40, 48), (1, 1, 2, 1, 1), (0, 0, 1, 1, 3), (2, 3, 4, 5, 6), window_size=64,
    ).eval()  # fmt: skip
    seed = int(golden["seed"])
    state = network.state_dict()
    network.load_state_dict(
        {k: torch.from_numpy(np.asarray(golden_weight(k, v.shape, seed))) for k, v in state.items()}
    )
    with torch.no_grad():
        levels = network.to(device)({key: golden[key].to(device) for key in ("grid_coord", "feat", "offset")})
    return [level._replace(coord=level.coord.cpu(), feat=level.feat.float().cpu()) for level in levels]


def golden_error(level, golden, i):
    """Relative error of level i."""
    row = {tuple(coord): n for n, coord in enumerate(level.coord.tolist())}
    rows = [row[tuple(coord)] for coord in golden[f"level{i}_index"].tolist()]
    return relative_error(level.feat[rows], golden[f"level{i}_feat"])


@pytest.fixture(scope="module")
def golden():
    return load_golden()


@pytest.fixture(scope="module")
def golden_levels(golden):
    return run_golden(golden)


def test_state_dict_is_the_released_one():
    with open(GOLDEN / "msm_state_dict.tsv") as file:
        released = {row["name"]: row["shape"] for row in csv.DictReader(file, delimiter="\t")}
    assert {name: str(tuple(value.shape)) for name, value in MSMHUNet().state_dict().items()} == released


@pytest.mark.parametrize("level", range(5))
def test_levels_equal_the_released_network(golden, golden_levels, level):
    ours = golden_levels[level]
    assert len(ours.feat) == int(golden[f"level{level}_count"]) and ours.stride == 2**level
    assert golden_error(ours, golden, level) < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype, most", [(None, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 5e-2)])
def test_levels_on_a_gpu(golden, dtype, most):
    with torch.autocast("cuda", dtype, enabled=dtype is not None):
        levels = run_golden(golden, "cuda")
    assert all(golden_error(level, golden, i) < most for i, level in enumerate(levels))


def test_released_sampling_equals_the_released_one(golden, golden_levels):
    count = torch.diff(golden["point_offset"], prepend=torch.zeros(1, dtype=torch.long))
    batch = torch.repeat_interleave(torch.arange(2), count)
    sampled = sample_levels(golden_levels, golden["point_grid_coord"], batch, mode="released")
    assert sampled.shape == (len(batch), 160)
    assert relative_error(sampled[golden["sample_rows"]], golden["sample_feat"]) < 1e-3


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MSMHUNet(**TINY).eval()


@torch.no_grad()
def test_features_do_not_depend_on_batch_mates(network):
    scenes = [random_scene(200, seed=0), random_scene(350, seed=1), random_scene(90, seed=2)]
    together = network(join(*scenes))
    for i, scene in enumerate(scenes):
        for alone, joint in zip(network(scene), together, strict=True):
            mine = joint.coord[:, 0] == i
            assert torch.equal(joint.coord[mine, 1:], alone.coord[:, 1:])
            torch.testing.assert_close(joint.feat[mine], alone.feat, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_features_do_not_depend_on_voxel_order(network):
    scene = random_scene()
    shuffle = torch.randperm(len(scene["feat"]), generator=torch.Generator().manual_seed(0))
    shuffled = dict(scene, grid_coord=scene["grid_coord"][shuffle], feat=scene["feat"][shuffle])
    one, two = network(scene), network(shuffled)
    assert torch.equal(one[0].coord[:, 1:].long(), scene["grid_coord"]), "rows belong to their voxels"
    assert torch.equal(one[0].feat[shuffle], two[0].feat) and torch.equal(one[0].coord[shuffle], two[0].coord)
    assert all(torch.equal(a.feat, b.feat) for a, b in zip(one[1:], two[1:], strict=True))


@torch.no_grad()
def test_eval_is_deterministic_and_training_is_not(network):
    scene = random_scene()
    assert torch.equal(network(scene)[0].feat, network(scene)[0].feat)
    noisy = MSMHUNet(**TINY, drop_path=0.5)
    assert not torch.equal(noisy(scene)[0].feat, noisy(scene)[0].feat)


@torch.no_grad()
def test_output_forms():
    scene = random_scene()
    hierarchical, finest = MSMHUNet(**TINY, output="hierarchical").eval(), MSMHUNet(**TINY, output="finest").eval()
    assert hierarchical(scene).shape == (300, 36) and hierarchical.out_channels == 36
    assert finest(scene).shape == (300, 8) and finest.out_channels == 8
    finest.load_state_dict(hierarchical.state_dict())
    torch.testing.assert_close(hierarchical(scene)[:, :8], finest(scene))


def test_drop_path_rates_are_the_released_ones():
    network = MSMHUNet()
    enc = [block.skip_path.drop for stage in network.resnet_enc for block in stage]
    expected = [0, 0.0154, 0.0308, 0.0462, 0.0615, 0.0769, 0.0923, 0.1077, 0.1538, 0.1692]
    assert enc == pytest.approx(expected, abs=1e-4)
    assert network.att_enc[4][2].skip_path_1.drop == network.att_enc[4][2].skip_path_2.drop == pytest.approx(0.2)
    assert (
        network.resnet_dec[0][0].skip_path.drop == pytest.approx(0.2) and network.resnet_dec[4][1].skip_path.drop == 0
    )


def test_conv_only_and_attention_only_forms():
    """Table 10d: block types are a matter of depths."""
    for conv, attn in (((1, 1, 1), (0, 0, 0)), ((0, 0, 0), (1, 1, 1))):
        depths = dict(enc_conv_depths=conv, dec_conv_depths=conv, enc_attn_depths=attn, dec_attn_depths=attn)
        assert len(MSMHUNet(**{**TINY, **depths})(random_scene())) == 3


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(enc_num_heads=(2, 3)), "different lengths"),
        (dict(dec_channels=(8, 12, 20)), "bottleneck"),
        (dict(output="all"), "hierarchical"),
        (dict(enc_num_heads=(2, 5, 4)), "divide"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        MSMHUNet(**{**TINY, **change})


def test_wrong_channels_are_refused(network):
    with pytest.raises(ValueError, match=r"6 input channels.*\(300, 3\)"):
        network(random_scene(channels=3))


@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_residual_gamma_is_the_start_of_every_block_and_of_no_skip_connection(gamma):
    network = MSMHUNet(**TINY, residual_gamma=gamma)
    starts = {n: p for n, p in network.named_parameters() if n.endswith("gamma")}
    blocks = {n: p for n, p in starts.items() if not n.startswith("skip.")}
    assert blocks and len(blocks) < len(starts)
    assert all((p == gamma).all() for p in blocks.values())
    assert all((p == 1).all() for n, p in starts.items() if n not in blocks)


def test_checkpointing_gives_the_same_gradients_and_keeps_less():
    batch = join(random_scene(seed=0), random_scene(200, seed=1))
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = MSMHUNet(**TINY, checkpointing=checkpointing).train()  # with dropout, drop path and shuffled curves
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.nbytes) or x, lambda x: x):
            loss = sum(level.feat.square().sum() for level in network(batch))
        loss.backward()
        results.append((loss.detach(), [p.grad for p in network.parameters()], sum(kept)))
    (loss, grads, bytes_kept), (loss_again, grads_again, bytes_kept_again) = results
    assert torch.equal(loss, loss_again)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_again, strict=True))
    assert bytes_kept_again < bytes_kept / 2
