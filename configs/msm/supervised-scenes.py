"""Training with labels on your own scenes, a small network from scratch: what fine-tuned weights are held against.

Command:  sh tools/train.sh -c configs/msm/supervised-scenes.py -- data_root=my_scenes num_classes=5 \\
              data.names=[floor,wall,chair,table,other] ignore_label=255
Data:     my_scenes/train/<scene> and my_scenes/val/<scene>, each a folder of .npy or a file, with colours, normals and
          `segment`: 0 to num_classes - 1, -1 or ignore_label where unknown. Without a val folder a share of the
          scenes, held_out=0.2, is val.
Hardware: two CPU cores or one GPU; about a second a step of two rooms on a core.
Expected: depends on your scenes; on 16 procedural rooms the same recipe reaches 65.0 mIoU
          (docs/results/pretraining.md).
"""

_base_ = ["_base_/segmentation.py", "_base_/augment.py", "_base_/hunet_small.py"]

data_root = "data/scenes"
num_classes = 20
ignore_label = -1
held_out = 0.2
grid_size = 0.08
epoch = 60
eval_epoch = 6
batch_size = 2
num_worker = 1

optimizer = dict(lr=0.002)
scheduler = dict(max_lr=0.002, pct_start=0.05)
model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=20,
    backbone={{_base_.backbone}},
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)
data = dict(
    num_classes=20,
    ignore_index=-1,
    names=None,  # of the classes, for the report
    train=dict(
        type="MSMScenesDataset",
        split="train",
        data_root="data/scenes",
        held_out=0.2,
        num_classes=20,
        ignore_label=-1,
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.08,
                max_voxels=60000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
    val=dict(
        type="MSMScenesDataset",
        split="val",
        data_root="data/scenes",
        held_out=0.2,
        num_classes=20,
        ignore_label=-1,
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
