"""Judging features on procedural rooms: kNN and linear probes on labelled rooms that pre-training also saw unlabelled,
scored on held-out rooms, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/pretrain-rooms-tiny
          (-w: a run's folder, or one exported .safetensors; -- save_path=DIR for results.json and results.md)
          One row only: -- test.networks=[student] test.baselines=[]; the baselines only: no -w, -- test.networks=[]
          Levels (Table 11):        -- test.probes=[linear,layers] test.baselines=[random]
          Few labels (Tables 4, 5): -- test.probes=[linear,budgets] test.points_per_scene=1000 data.train.rooms=64
          Instances (Table 16):     -- test.probes=[instance] test.points_per_scene=4000
Hardware: two CPU cores, about a minute; levels and instances two minutes a row, few labels two a row and seed.
Expected: of pretrain-rooms-tiny: student 38.6 kNN, 39.8 linear; random initialisation 19.2, 18.7
          (docs/results/pretraining.md). Levels, few labels, instances: docs/results/probes.md.
"""

_base_ = ["_base_/runtime.py", "_base_/hunet_small.py"]  # the network: of test.networks=[] alone

data_root = "data/rooms"
grid_size = 0.08
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=2000,  # to fit on
    test_points=4000,  # a test room; all of its 120,000 would take kNN minutes a row
    seeds=(0,),
    things=tuple(range(3, 22)),  # of the instance probe: all but floor, wall and ceiling
    min_points=10,  # 300 of a room's 120,000 points
)
data = dict(
    num_classes=22,
    train=dict(type="MSMRoomsDataset", split="train", data_root="data/rooms", rooms=16),
    test=dict(type="MSMRoomsDataset", split="val", data_root="data/rooms", rooms=8),
)
