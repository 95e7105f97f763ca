"""Judging features on S3DIS, Area 5 held out: kNN and linear probes, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probes/probe-s3dis.py -w exp/msm/pretrain-scannet
          Levels and few labels: the options of probe-scannet.py.
          Instances (Table 16): -- test.probes=[instance] test.points_per_scene=10000 test.test_points=10000
Data:     data/s3dis in Pointcept's format, with normals.
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: the paper's numbers, by a protocol of its own; ours are not known yet. mIoU on Area 5: linear 59.5, kNN 45.7.
          Instances: 23.2 AP50, with a head trained by SGD.
"""

_base_ = ["../_base_/runtime.py"]

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
    things=tuple(range(13)),  # of the instance probe
    min_points=2,  # the benchmark's 100 points of a typical 1,000,000 leave 1; a pair is the least that is a cluster
)
data = dict(
    num_classes=13,
    train=dict(type="S3DISDataset", split=("Area_1", "Area_2", "Area_3", "Area_4", "Area_6"), data_root="data/s3dis"),
    test=dict(type="S3DISDataset", split="Area_5", data_root="data/s3dis"),
)
