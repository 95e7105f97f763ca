"""The tiny recipe on procedural rooms and on a folder of real scans together, half of the steps each.

Command:  sh tools/train.sh -c configs/msm/pretrain-rooms-scenes.py -- data.train.datasets.1.data_root=PATH
          a folder of other than four scenes: -- data.train.datasets.1.loop=N, so that 64 of them are seen an epoch
Data:     data/rooms made on first use (64 rooms); PATH as for pretrain-scenes.py.
Hardware: two CPU cores, about 10 minutes, 2 GB.
Measured: one seed, with four scans, probed on one of them (docs/results/scans.md). Not: more scans, more seeds.
"""

_base_ = ["pretrain-rooms-tiny.py"]

epoch = 3
eval_epoch = 3
transform = {{_base_.views}}
model = dict(supervise="all")
data = dict(
    train=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[
            dict(type="MSMRoomsDataset", split="train", data_root="data/rooms", rooms=64, transform=transform),
            dict(type="MSMScenesDataset", split="train", data_root="data/scenes", loop=16, transform=transform),
        ],
    )
)
