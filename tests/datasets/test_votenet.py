"""MSMVoteNetDataset on a miniature of VoteNet's and of ScanRefer's folder."""

import numpy as np
import pytest

from pointcept_msm.datasets.votenet import NYU40, to_scannet20
from pointcept_msm.host import build_dataset
from pointcept_msm.probing.boxes import find_boxes
from pointcept_msm.rooms import generate_room
from pointcept_msm.runtime.errors import UserError
from tests.datasets.votenet_folder import write_votenet_folder


def build(root, split="train"):
    return build_dataset(dict(type="MSMVoteNetDataset", split=split, data_root=str(root)))


def test_classes_are_scannets_twenty():
    found = to_scannet20(np.arange(45))
    assert found[NYU40].tolist() == list(range(20)) and (found == -1).sum() == 25
    names = {1: 0, 2: 1, 3: 2, 14: 12, 16: 13, 39: 19, 0: -1, 13: -1, 40: -1}
    assert {k: int(found[k]) for k in names} == names


@pytest.mark.parametrize("scanrefer", [False, True])
def test_a_scan_is_read(tmp_path, scanrefer):
    write_votenet_folder(tmp_path / "scannet", scanrefer=scanrefer)
    dataset = build(tmp_path / "scannet")
    assert len(dataset) == 2 and [dataset.get_data_name(i) for i in range(2)] == ["scene0000_00", "scene0001_00"]
    scene = dataset.get_data(1)
    assert scene["coord"].max() < 50
    agree = np.abs((scene["normal"] * generate_room(0, "train", 1, 6000)["normal"]).sum(1)).mean()
    assert agree > (0.999 if scanrefer else 0.7), "the file's, or estimated"
    assert scene["coord"].shape == scene["color"].shape and scene["color"].max() > 1
    assert set(np.unique(scene["segment"])) <= set(range(-1, 20)) and scene["instance"].min() == -1
    own = find_boxes(scene, range(2, 20), 20)
    order = np.lexsort(scene["boxes"][:, :3].T), np.lexsort(own.box[:, :3].T)
    np.testing.assert_allclose(scene["boxes"][order[0], :6], own.box[order[1]], atol=1e-5)
    assert scene["boxes"][order[0], 6].tolist() == own.category[order[1]].tolist()
    assert len(build(tmp_path / "scannet", "val")) == 1


def test_missing_data_say_where_to_get_them(tmp_path):
    for root, words in ((tmp_path / "nothing", "no scannetv2_train.txt"), (tmp_path, "none of the 1 scans")):
        if root == tmp_path:
            (root / "scannetv2_train.txt").write_text("scene0000_00\n")
        with pytest.raises(UserError, match=f"{words}.*scan-net.org.*facebookresearch/votenet") as error:
            build(root)
        assert "\n" not in str(error.value)
