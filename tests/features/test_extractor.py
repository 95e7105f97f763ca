"""The extractor with a small network double: alignment of rows, order, tiles, inputs, modes, errors."""

import numpy as np
import pytest
import torch
from torch import nn

from pointcept_msm.features.extractor import FeatureExtractor, evaluating
from pointcept_msm.features.voxels import centre_coord
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.models.feature_sampling import Level, sample_levels, voxel_key
from tests.files.box_room import make_room

VOXEL = 0.05


class PoolNet(nn.Module):
    """Means over cells, then over the neighbours along x: a receptive field of one cell around each cell."""

    def __init__(self, in_channels=6, widths=(4, 3, 5)):
        super().__init__()
        torch.manual_seed(0)
        self.linears = nn.ModuleList(nn.Linear(in_channels, w) for w in widths)
        self.dropout = nn.Dropout(0.5)
        self.largest = self.passes = 0

    def forward(self, batch):
        assert batch["grid_coord"].dtype == torch.int64 and batch["grid_coord"].min() >= 0
        self.largest, self.passes = max(self.largest, len(batch["feat"])), self.passes + 1
        scene = torch.searchsorted(batch["offset"], torch.arange(len(batch["feat"])).to(batch["offset"]), right=True)
        levels = []
        for i, linear in enumerate(self.linears):
            key, cell = torch.unique(voxel_key(scene, batch["grid_coord"] >> i), return_inverse=True)
            coord = key.new_zeros(len(key), 4, dtype=torch.int32)
            coord[cell] = torch.cat([scene[:, None], batch["grid_coord"] >> i], 1).int()
            feat = batch["feat"].new_zeros(len(key), batch["feat"].shape[1]).index_add_(0, cell, batch["feat"])
            feat = linear(feat / torch.bincount(cell)[:, None])
            smooth = feat + sum(self.neighbour(key, feat, step) for step in (-(1 << 32), 1 << 32))
            levels.append(Level(coord, self.dropout(smooth), 2**i))
        return levels

    @staticmethod
    def neighbour(key, feat, step):
        place = torch.searchsorted(key, key + step).clamp_max(len(key) - 1)
        return feat[place] * (key[place] == key + step)[:, None]


def make_scene(seed=0, points=3000, size=(4.0, 3.0, 1.0)):
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((points, 3))
    return dict(
        coord=(rng.uniform(0, size, (points, 3)) + 7).astype(np.float32),
        color=rng.uniform(0, 255, (points, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
    )


def make_extractor(network=None, **kwargs):
    return FeatureExtractor(network or PoolNet(), dict(in_channels=6), dict(grid_size=VOXEL), **kwargs)


def test_rows_follow_the_points():
    """Every point gets the features sampled at its own voxel, computed here step by step."""
    scene, network = make_scene(), PoolNet()
    extractor = make_extractor(network)
    feat = extractor.extract(scene)
    assert feat.shape == (3000, 12) and feat.dtype == np.float32 and extractor.channels == 12
    centred = centre_coord(torch.from_numpy(scene["coord"])).numpy() / VOXEL
    cell = np.floor(centred).astype(int)
    cell -= cell.min(0)
    point = {}
    for i, c in enumerate(cell):
        point.setdefault(tuple(c), []).append(i)
    chosen = [
        min(rows, key=lambda i: np.square(centred[i] - np.floor(centred[i]) - 0.5).sum()) for rows in point.values()
    ]
    x = np.c_[scene["color"] / 127.5 - 1, scene["normal"]][chosen].astype(np.float32)
    network.eval()
    levels = network(
        dict(grid_coord=torch.tensor(cell[chosen]), feat=torch.tensor(x), offset=torch.tensor([len(chosen)]))
    )
    want = sample_levels(levels, torch.tensor(cell), torch.zeros(3000, dtype=torch.long))
    assert np.allclose(feat, want.detach().numpy(), atol=1e-5)


def test_levels():
    levels = make_extractor().levels
    assert [name for name, _, _ in levels] == ["level0", "level1", "level2"]
    assert [edge for _, edge, _ in levels] == pytest.approx([0.05, 0.1, 0.2])
    assert [part for _, _, part in levels] == [slice(0, 4), slice(4, 7), slice(7, 12)]


@pytest.mark.parametrize("mode", ["exact", "released", "nearest"])
def test_point_order_and_position_do_not_matter(mode):
    scene, extractor = make_scene(), make_extractor()
    feat = extractor.extract(scene, mode)
    order = np.random.default_rng(1).permutation(3000)
    assert np.allclose(extractor.extract({k: v[order] for k, v in scene.items()}, mode), feat[order], atol=1e-6)
    moved = dict(scene, coord=scene["coord"] + np.float32(16))
    close = np.isclose(extractor.extract(moved, mode), feat, atol=1e-5).all(1)
    assert close.mean() > 0.97  # float32 coordinates: points at a voxel's border may fall into the next


@pytest.mark.parametrize("mode", ["exact", "released", "nearest"])
def test_tiles_change_nothing(mode, monkeypatch):
    monkeypatch.setattr("pointcept_msm.features.extractor.MARGIN", 4)
    scene, network, rows = make_scene(points=6000, size=(12.0, 9.0, 0.5)), PoolNet(), np.array([7, 7, 0])
    whole = make_extractor(network).extract(scene, mode)
    voxels, network.largest = network.largest, 0
    extractor = make_extractor(network, max_voxels=800)
    cut = extractor.extract(scene, mode)
    assert network.largest <= 800 < voxels / 4
    assert np.allclose(cut, whole, atol=1e-5) and np.array_equal(extractor.extract(scene, mode, rows), cut[rows])


def test_rows_and_lists():
    extractor, scenes = make_extractor(), [make_scene(0), make_scene(1)]
    one, two = extractor.extract(scenes)
    assert np.allclose(two, extractor.extract(scenes[1]), atol=1e-5) and not np.allclose(one, two)
    rows = np.array([5, 2, 2999])
    assert np.allclose(extractor.extract(scenes[0], rows=rows), one[rows], atol=1e-5)
    some, all_of_it = extractor.extract(scenes, rows=[rows, None])
    assert np.array_equal(some, one[rows]) and np.array_equal(all_of_it, two)
    assert extractor.extract(scenes[0], rows=[]).shape == (0, one.shape[1])
    for wrong in ([3000], [-3001], [0.5], [[1]]):
        with pytest.raises(ValueError, match=r"give a list of points, 0 to 2999"):
            extractor.extract(scenes[0], rows=wrong)
    with pytest.raises(ValueError, match="2 scenes and rows for 3: give the rows of each"):
        extractor.extract(scenes, rows=rows)


@pytest.mark.parametrize("size", [None, 0, -0.1, "0.02", True, float("nan")])
def test_weights_that_do_not_say_their_voxel_size_are_refused(size):
    with pytest.raises(ValueError, match=r"grid_size is .*it must be the voxel size that they were trained with"):
        FeatureExtractor(PoolNet(), dict(in_channels=6), {} if size is None else dict(grid_size=size))


def test_missing_input_is_named_and_can_be_filled():
    scene = make_scene()
    bare = {k: scene[k] for k in ("coord",)}
    with pytest.raises(ValueError, match="has no color and no normal; the network takes color, normal"):
        make_extractor().extract(dict(bare, name="room"))
    filled = make_extractor(fill=dict(color=127.5, normal=(0, 0, 1))).extract(bare)
    explicit = dict(bare, color=np.full((3000, 3), 127.5, np.float32), normal=np.tile(np.float32([0, 0, 1]), (3000, 1)))
    assert np.array_equal(filled, make_extractor().extract(explicit))


def test_input_channels_must_match():
    with pytest.raises(ValueError, match="give 3 channels, the network takes 6"):
        FeatureExtractor(PoolNet(), dict(in_channels=6), dict(feat_keys=["color"], grid_size=VOXEL))
    extractor = FeatureExtractor(PoolNet(3), dict(in_channels=3), dict(feat_keys=["coord"], grid_size=VOXEL))
    assert extractor.extract(dict(coord=make_scene()["coord"])).shape == (3000, 12)


def test_scene_too_wide():
    scene = make_scene()
    scene["coord"][0] = 1e4
    with pytest.raises(ValueError, match="65536"):
        make_extractor().extract(scene)


def test_training_mode_is_left_as_found():
    network = PoolNet()
    network.linears.eval()
    first, second = (make_extractor(network).extract(make_scene()) for _ in range(2))
    assert np.array_equal(first, second)  # dropout was off
    assert network.training and network.dropout.training and not network.linears.training
    with pytest.raises(KeyError), evaluating(network):
        raise KeyError
    assert network.training and not network.linears.training


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    full, half = make_extractor().extract(make_scene()), make_extractor(dtype=dtype).extract(make_scene())
    assert half.dtype == np.float32 and 0 < np.abs(full - half).max() < 0.1
    with pytest.raises(ValueError, match="dtype is 'int8'; allowed: float32"):
        make_extractor(dtype="int8")


@pytest.mark.parametrize("max_voxels", [500_000, 800])
def test_tensors_and_arrays_are_the_same_features(max_voxels, monkeypatch):
    monkeypatch.setattr("pointcept_msm.features.extractor.MARGIN", 4)
    scene, rows = make_scene(size=(9.0, 3.0, 0.5)), np.array([7, 7, 0])
    extractor = make_extractor(max_voxels=max_voxels)
    array, tensor = extractor.extract(scene), extractor.extract(scene, output="torch")
    assert tensor.device == extractor.device and not tensor.requires_grad and np.array_equal(tensor.numpy(), array)
    assert np.array_equal(extractor.extract(scene, rows=rows, output="torch").numpy(), array[rows])
    with pytest.raises(ValueError, match="output is 'list'; allowed: numpy, torch"):
        extractor.extract(scene, output="list")


@pytest.mark.parametrize("mode", ["exact", "released", "nearest"])
def test_small_scenes_share_a_pass(mode, monkeypatch):
    """Scenes of other sizes and a large one between them: each as if alone, in fewer passes, none above the limit."""
    monkeypatch.setattr("pointcept_msm.features.extractor.MARGIN", 4)
    scenes = [make_scene(i, points, (2.0 + i, 1.5, 0.6)) for i, points in enumerate((900, 300, 1900, 800, 500))]
    network = PoolNet()
    alone = [make_extractor(network).extract(scene, mode) for scene in scenes]
    extractor = make_extractor(network, max_voxels=2000)
    extractor.channels  # one pass over two voxels  # noqa: B018
    network.passes = network.largest = 0
    together = extractor.extract(scenes, mode)
    assert network.passes == 3 and network.largest <= 2000
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(alone, together, strict=True))


def test_a_network_that_knows_scans_without_fills_by_itself_and_says_so(caplog):
    scene, meta = make_scene(), dict(grid_size=VOXEL, fill=dict(color=127.5, normal=0.0))
    extractor = FeatureExtractor(PoolNet(), dict(in_channels=6), meta)
    bare = dict(coord=scene["coord"], name="phone scan")
    filled = extractor.extract(bare)
    assert "phone scan: it has no color: 127.5 everywhere" in caplog.text
    assert "phone scan: it has no normal: 0 everywhere" in caplog.text
    zeros = dict(bare, color=np.full((3000, 3), 127.5, np.float32), normal=np.zeros((3000, 3), np.float32))
    assert np.array_equal(filled, extractor.extract(zeros)), "normals of 0 count as absent"
    other = FeatureExtractor(PoolNet(), dict(in_channels=6), meta, fill=dict(color=10.0))
    assert other.fill == dict(color=10.0, normal=0.0) and not np.array_equal(other.extract(bare), filled)


def test_normals_can_be_estimated():
    """A floor and a ceiling: the estimated normals point into the room."""
    scene = make_scene(size=(4.0, 3.0, 0.0))
    scene["coord"][::2, 2] += 2.5
    inward = np.zeros((3000, 3), np.float32)
    inward[:, 2] = np.where(np.arange(3000) % 2, 1, -1)
    bare = {k: scene[k] for k in ("coord", "color")}
    estimated = make_extractor(fill=dict(normal="estimate")).extract(bare)
    assert np.allclose(estimated, make_extractor().extract(dict(bare, normal=inward)), atol=1e-3)


def test_a_path_an_array_and_a_list_of_them(tmp_path):
    scene, extractor = make_scene(), make_extractor(fill=dict(normal=(0, 0, 1)))
    save_scene(tmp_path / "room.ply", {key: scene[key] for key in ("coord", "color")})
    color = np.rint(scene["color"])
    feat = extractor.extract(dict(coord=scene["coord"], color=color))
    assert np.allclose(extractor.extract(tmp_path / "room.ply"), feat, atol=1e-5)
    assert np.allclose(extractor.extract(str(tmp_path / "room.ply")), feat, atol=1e-5)
    assert np.allclose(extractor.extract(np.c_[scene["coord"], color]), feat, atol=1e-5)
    both = extractor.extract([tmp_path / "room.ply", torch.from_numpy(np.c_[scene["coord"], color])])
    assert len(both) == 2 and all(np.allclose(one, feat, atol=1e-5) for one in both)


TURNED = {
    "y": ((0, 2, 1), (1, 1, -1)),
    "-y": ((0, 2, 1), (1, -1, 1)),
    "-z": ((0, 1, 2), (1, -1, -1)),
    "x": ((2, 1, 0), (1, 1, -1)),
}


@pytest.mark.parametrize("up", TURNED)
@pytest.mark.parametrize("unit", [1, 0.001])
def test_other_axes_units_and_places_are_warned_about_or_right(up, unit, caplog):
    """At map coordinates of 4,000 km; as suggested, the features are those of the plain scan."""
    room, (columns, signs) = make_room(), TURNED[up]
    plain = make_extractor().extract(room)
    coord = (room["coord"] + [400_000, 4_000_000, 300])[:, columns] * signs / unit
    scene = dict(room, coord=coord, normal=room["normal"][:, columns] * np.float32(signs))
    make_extractor().prepare(scene)
    assert f"give up={up!r}" in caplog.text and (unit == 1 or f"give scale={unit}" in caplog.text)
    told = make_extractor(up=up, scale=unit)
    prepared = told.prepare(scene)
    assert np.linalg.norm(told.extract(prepared) - plain) < 1e-3 * np.linalg.norm(plain)
    assert np.array_equal(prepared.coord, coord) and "doubt 0" not in prepared.notes


def test_a_stray_point_moves_nothing_but_itself():
    room = make_room()
    stray = {key: np.concatenate([values, values[:1]]) for key, values in room.items()}
    stray["coord"][-1] = (2, 1.5, -7.03)
    plain, released = make_extractor().extract(room), make_extractor(floor="released")
    found = make_extractor().extract(stray)
    assert np.linalg.norm(found[:-1] - plain) < 0.01 * np.linalg.norm(plain)
    assert np.array_equal(released.extract(room), plain)
    assert not np.allclose(released.extract(stray)[:-1], plain, atol=0.1)
    with pytest.raises(ValueError, match="floor is 'low'; allowed: robust, released"):
        make_extractor(floor="low")


@pytest.mark.parametrize("device, words", [("cuda:99", "finds .* GPUs here; give cpu"), ("gpu", "give cpu, cuda")])
def test_a_device_that_is_not_there(device, words):
    with pytest.raises(ValueError, match=words):
        make_extractor(device=device)


def test_another_voxel_size_is_the_callers_word(tmp_path, caplog):
    extractor = make_extractor(voxel_size=0.1)
    assert extractor.levels[0][1] == 0.1 and "trained with 0.05 m" in caplog.text
    extractor.save_pretrained(tmp_path)
    assert load_checkpoint(tmp_path / "model.safetensors")[2]["grid_size"] == VOXEL


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("max_voxels", [500_000, 3000])
def test_a_gpu_gives_the_features_of_a_cpu(max_voxels, monkeypatch):
    """More points than a block of copies holds, whole and in tiles, to an array and to a tensor."""
    monkeypatch.setattr("pointcept_msm.features.extractor.MARGIN", 4)
    scenes = [make_scene(i, 40_000, (9.0, 6.0, 1.0)) for i in range(2)]
    wanted = make_extractor().extract(scenes)
    extractor = make_extractor(device="cuda", max_voxels=max_voxels)
    tensors = extractor.extract(scenes, output="torch")
    for array, tensor, want in zip(extractor.extract(scenes), tensors, wanted, strict=True):
        assert tensor.is_cuda and np.allclose(tensor.cpu().numpy(), array, atol=1e-5)  # the toy adds in any order
        assert np.allclose(array, want, atol=1e-4)
