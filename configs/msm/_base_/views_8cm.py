"""Two views of a scene at 8 cm."""

_base_ = ["augment.py"]

views = [
    dict(
        type="MSMViews",
        grid_size=0.08,
        max_voxels=60000,
        student_crop=(0.4, 0.8),
        feat_keys=("color", "normal"),
        augment={{_base_.augment}},
        color_augment={{_base_.color_augment}},
    )
]
