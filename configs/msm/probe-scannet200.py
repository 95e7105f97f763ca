"""Judging features on ScanNet200: kNN and linear probes, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probe-scannet200.py -w exp/msm/pretrain-scannet
          (-w: a run's folder, or one exported .safetensors; -- test.supervised=FILE adds a supervised network's row)
Data:     data/scannet in Pointcept's format.
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: linear 26.8 mIoU on val, the paper's number by a protocol of its own; ours is not known yet.
"""

_base_ = ["_base_/runtime.py"]

data_root = "data/scannet"
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=800,  # to fit on: a bank of about a million
    test_points=20000,  # a test scene, drawn at random
    seeds=(0,),
)
data = dict(
    num_classes=200,
    train=dict(type="ScanNet200Dataset", split="train", data_root="data/scannet"),
    test=dict(type="ScanNet200Dataset", split="val", data_root="data/scannet"),
)
