"""Pre-training on procedural rooms with a middle-sized network at 4 cm: an hour or so on one GPU.

Command:  sh tools/train.sh -c configs/msm/pretrain-rooms.py -g 1
Data:     made on first use under data/rooms-512 (512 rooms, about 1.5 GB).
Hardware: meant for one GPU of 24 GB and an hour.
Measured: nothing; it is built in tests.
"""

_base_ = ["_base_/runtime.py", "_base_/pretrain.py", "_base_/augment.py", "_base_/hunet_medium.py"]

data_root = "data/rooms-512"
grid_size = 0.04
epoch = 200
eval_epoch = 20
batch_size = 8
num_worker = 8
enable_amp = True

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
        type="MSMRoomsDataset",
        split="train",
        data_root="data/rooms-512",
        rooms=512,
        transform=[
            dict(
                type="MSMViews",
                grid_size=0.04,
                max_voxels=120000,
                student_crop=(0.4, 0.8),
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
)
