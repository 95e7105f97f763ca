"""Judging features on procedural rooms at full size: 64 labelled rooms to fit on, 32 held-out rooms.

Command:  sh tools/test.sh -c configs/msm/probes/probe-rooms.py -w exp/msm/pretrain-rooms
          (-- test.supervised=exp/msm/supervised-rooms/backbone.safetensors adds the supervised network's row)
Data:     made on first use under data/rooms-512.
Hardware: meant for one GPU; on two CPU cores some ten minutes a row. Not run on a GPU by us yet.
Expected: not known yet.
"""

_base_ = ["../_base_/runtime.py", "../_base_/hunet_medium.py"]  # the network: of test.networks=[] alone

data_root = "data/rooms-512"
grid_size = 0.04
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=4000,  # to fit on: a bank of 256,000
    test_points=20000,  # a test room, drawn at random
    seeds=(0, 1, 2),
)
data = dict(
    num_classes=22,
    train=dict(type="MSMRoomsDataset", split="train", data_root="data/rooms-512", rooms=64),
    test=dict(type="MSMRoomsDataset", split="val", data_root="data/rooms-512", rooms=32),
)
