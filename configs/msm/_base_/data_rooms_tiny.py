"""Labelled procedural rooms at 8 cm: the 16 rooms on which the probe fits, and its 8 held-out rooms."""

_base_ = ["augment.py"]

data_root = "data/rooms"
class_names = [
    "floor", "wall", "ceiling", "door", "window", "chair", "table", "desk", "counter", "sofa", "armchair", "bed",
    "cabinet", "bookshelf", "lamp", "sink", "toilet", "monitor", "curtain", "plant", "picture", "clutter",
]  # fmt: skip
data = dict(
    num_classes=22,
    ignore_index=-1,
    names=class_names,
    train=dict(
        type="MSMRoomsDataset",
        split="train",
        data_root="data/rooms",
        rooms=16,
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.08,
                max_voxels=14000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
    val=dict(
        type="MSMRoomsDataset",
        split="val",
        data_root="data/rooms",
        rooms=8,
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.08,
                feat_keys=("color", "normal"),
                augment=[dict(type="CenterShift", apply_z=True)],
                random=False,
                keep_inverse=True,
            )
        ],
    ),
)
