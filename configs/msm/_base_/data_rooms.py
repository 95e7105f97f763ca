"""Labelled procedural rooms at 4 cm: the 64 rooms on which probe-rooms.py fits, and its 32 held-out rooms."""

_base_ = ["data_rooms_tiny.py"]

data_root = "data/rooms-512"
data = dict(
    train=dict(
        data_root="data/rooms-512",
        rooms=64,
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.04,
                max_voxels=120000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
    val=dict(
        data_root="data/rooms-512",
        rooms=32,
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.04,
                feat_keys=("color", "normal"),
                augment=[dict(type="CenterShift", apply_z=True)],
                random=False,
                keep_inverse=True,
            )
        ],
    ),
)
