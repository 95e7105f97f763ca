"""A tiny network and made-up scenes whose classes can be told from colour, for tests of what judges features."""

import numpy as np
import torch

from pointcept_msm.files.weights import save_checkpoint
from pointcept_msm.host import DATASETS, build_model, register
from pointcept_msm.probing.features import SceneFeatures

NETWORK = dict(
    type="MSM-HUNet-v1m1",
    in_channels=6,
    enc_channels=(8, 16),
    enc_conv_depths=(1, 1),
    enc_attn_depths=(0, 0),
    enc_num_heads=(1, 2),
    dec_channels=(8, 16),
    dec_conv_depths=(1, 1),
    dec_attn_depths=(0, 0),
    dec_num_heads=(1, 2),
)


@register(DATASETS, "ProbeToyDataset")
class ProbeToyDataset:
    """Scenes of four coloured boxes on a floor, `spread` metres apart: the class is the colour, but for `shuffled`
    labels."""

    def __init__(self, split="train", scenes=4, shuffled=False, reverse=False, spread=1):
        self.split, self.shuffled, self.spread = split, shuffled, spread
        self.data_list = list(range(scenes))[:: -1 if reverse else 1]

    def __len__(self):
        return 3 * len(self.data_list)  # a loop, which probes must not see

    def get_data_name(self, index):
        return f"scene{self.data_list[index]}"

    def get_split_name(self, index):
        return self.split

    def get_data(self, index):
        rng = np.random.default_rng([self.data_list[index], len(self.split)])
        instance = np.repeat(np.arange(4), 60)
        segment = rng.permutation(np.array([0, 1, 2, 1]))[instance]
        corner = self.spread * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
        coord = corner[instance] + rng.uniform(0, 0.4, (240, 3))
        color = 255 * np.eye(3)[segment] * rng.uniform(0.9, 1, (240, 1))
        scene = dict(coord=coord, color=color, normal=np.tile([0.0, 0, 1], (240, 1)))
        scene = {key: value.astype(np.float32) for key, value in scene.items()}
        labels = rng.permutation(segment) if self.shuffled else segment
        return scene | dict(
            segment=labels.astype(np.int32), instance=instance.astype(np.int32), name="x", split=self.split
        )


def make_features(name, feat, segment, instance=None, coord=None):
    """SceneFeatures of given arrays; without coordinates at random places."""
    rows = np.arange(len(feat))
    coord = np.random.default_rng(0).standard_normal((len(feat), 3)).astype(np.float32) if coord is None else coord
    return SceneFeatures(name, feat, segment, segment if instance is None else instance, coord, rows)


def make_weights(folder, names=("student", "teacher"), meta=None):
    for i, name in enumerate(names):
        torch.manual_seed(i)
        network = build_model(dict(NETWORK))
        meta = dict(grid_size=0.1, features=["color", "normal"]) if meta is None else meta
        save_checkpoint(folder / f"{name}.safetensors", network.state_dict(), NETWORK, meta | dict(network=name))
