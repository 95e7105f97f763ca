"""S3DIS at 2 cm, Area 5 held out, in Pointcept's format with normals; crops as in Table 15."""

_base_ = ["augment_labels.py"]

data_root = "data/s3dis"
class_names = [
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board",
    "clutter",
]  # fmt: skip
data = dict(
    num_classes=13,
    ignore_index=-1,
    names=class_names,
    train=dict(
        type="S3DISDataset",
        split=("Area_1", "Area_2", "Area_3", "Area_4", "Area_6"),
        data_root="data/s3dis",
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.02,
                max_voxels=200000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
    val=dict(
        type="S3DISDataset",
        split="Area_5",
        data_root="data/s3dis",
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.02,
                feat_keys=("color", "normal"),
                augment=[dict(type="CenterShift", apply_z=True)],
                random=False,
                keep_inverse=True,
            )
        ],
    ),
)
