"""ScanNet with 20 classes at 2 cm, in Pointcept's format; crops as in Tables 15 and 19."""

_base_ = ["augment_labels.py"]

data_root = "data/scannet"
class_names = [
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "desk", "curtain", "refridgerator", "shower curtain", "toilet", "sink", "bathtub", "otherfurniture",
]  # fmt: skip
data = dict(
    num_classes=20,
    ignore_index=-1,
    names=class_names,
    train=dict(
        type="ScanNetDataset",
        split="train",
        data_root="data/scannet",
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.02,
                max_voxels=120000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
    val=dict(
        type="ScanNetDataset",
        split="val",
        data_root="data/scannet",
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
