"""Judging features on S3DIS, Area 5 held out: kNN and linear probes, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probe-s3dis.py -w exp/msm/pretrain-scannet
          (-w: a run's folder, or one exported .safetensors; -- test.supervised=FILE adds a supervised network's row)
Data:     data/s3dis in Pointcept's format, with normals.
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: linear 59.5 mIoU on Area 5, the paper's number by a protocol of its own; ours is not known yet.
"""

_base_ = ["_base_/runtime.py"]

data_root = "data/s3dis"
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=4000,  # to fit on: a bank of about a million
    test_points=20000,  # a test scene, drawn at random
    seeds=(0,),
)
data = dict(
    num_classes=13,
    train=dict(type="S3DISDataset", split=("Area_1", "Area_2", "Area_3", "Area_4", "Area_6"), data_root="data/s3dis"),
    test=dict(type="S3DISDataset", split="Area_5", data_root="data/s3dis"),
)
