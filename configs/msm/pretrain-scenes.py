"""Pre-training on any folder of scenes, with a small network at 4 cm.

Command:  sh tools/train.sh -c configs/msm/pretrain-scenes.py -- data_root=PATH epoch=400 num_worker=4
Data:     PATH/<scene>/{coord,color,normal}.npy, PATH/train/<scene>/..., or files .npz, .ply, .pth in their place.
Hardware: two CPU cores, 2.5 s a step and 3.3 GiB on scans of 250,000 points; or one GPU.
Measured: 192 steps on four scans, 7 to 11 points of mIoU over random features on one of them
          (docs/results/scans.md). Not: larger folders, longer runs.
"""

_base_ = ["_base_/runtime.py", "_base_/pretrain.py", "_base_/augment.py", "_base_/hunet_small.py"]

data_root = "data/scenes"
grid_size = 0.04
epoch = 100
eval_epoch = 10
batch_size = 2
num_worker = 0  # more when there are cores to spare

scheduler = dict(pct_start=0.05)
model = dict(
    type="MSM-v1m1",
    backbone={{_base_.backbone}},
    mask_ratio=0.4,
    mask_patch=0.32,
    supervise="all",  # masked voxels and visible ones; measured: docs/results/pretraining.md
    loss=dict(type="MSMLoss", kind="info_nce"),
)
data = dict(
    train=dict(
        type="MSMScenesDataset",
        split="train",
        data_root="data/scenes",
        transform=[
            dict(
                type="MSMViews",
                grid_size=0.04,
                max_voxels=60000,
                student_crop=(0.4, 0.8),
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
)
