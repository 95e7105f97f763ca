"""Judging features on your own labelled scenes: kNN and linear probes fit on train scenes and scored on val scenes,
beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probe-scenes.py -w msm-tiny-rooms -- data_root=my_scenes num_classes=5 \\
              data.names=[floor,wall,chair,table,other] ignore_label=255
          (-w: the name of shipped weights, a run's folder, or an exported .safetensors)
Data:     as for supervised-scenes.py; one scan alone: probe-one-scan.py.
Hardware: two CPU cores, a minute or two a row for twenty rooms.
Expected: rows of the weights above random initialisation and raw input, or the weights do not fit your scenes.
"""

_base_ = ["_base_/runtime.py", "_base_/hunet_small.py"]  # the network: of test.networks=[] alone

data_root = "data/scenes"
num_classes = 20
ignore_label = -1
held_out = 0.2
grid_size = 0.08
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=2000,  # to fit on
    test_points=20000,  # a test scene, drawn at random
    seeds=(0, 1, 2),
)
data = dict(
    num_classes=20,
    names=None,  # of the classes, for the report
    train=dict(
        type="MSMScenesDataset",
        split="train",
        data_root="data/scenes",
        held_out=0.2,
        num_classes=20,
        ignore_label=-1,
    ),
    test=dict(
        type="MSMScenesDataset",
        split="val",
        data_root="data/scenes",
        held_out=0.2,
        num_classes=20,
        ignore_label=-1,
    ),
)
