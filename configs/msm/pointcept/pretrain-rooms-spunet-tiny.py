"""Pre-training of Pointcept's SpUNet on procedural rooms: the tiny recipe with another backbone.

Command:  sh scripts/train.sh -d msm -c pointcept/pretrain-rooms-spunet-tiny -n spunet-tiny -g 1
Data:     made on first use under data/rooms.
Hardware: one GPU; or a CPU, about ten minutes.
Measured: two seeds; student 32 to 35, teacher 29 to 31 mIoU, random initialisation 20 to 23
          (docs/results/pointcept.md). Not: longer runs.
"""

_base_ = ["../pretrain-rooms-tiny.py"]

num_worker = 1
backbone = dict(
    _delete_=True,
    type="MSM-SpUNet-v1m1",
    in_channels=6,
    base_channels=32,
    channels=(32, 48, 64, 96, 96, 64, 48, 32),
    layers=(1, 1, 1, 1, 1, 1, 1, 1),
    bn_momentum=0.1,
)
model = dict(
    backbone=dict(
        _delete_=True,
        type="MSM-SpUNet-v1m1",
        in_channels=6,
        base_channels=32,
        channels=(32, 48, 64, 96, 96, 64, 48, 32),
        layers=(1, 1, 1, 1, 1, 1, 1, 1),
        bn_momentum=0.1,
    )
)
param_dicts = [
    dict(keyword="bias", weight_decay=0.0),
    dict(keyword="token", weight_decay=0.0),
    dict(keyword="bn", weight_decay=0.0),
    dict(keyword=".1.weight", weight_decay=0.0),  # the norms that SpUNet keeps in sequences
]
