"""Judging features on one labelled scan: probes fit on one side of an upright plane and are scored on the other.

Command:  sh tools/test.sh -c configs/msm/probe-one-scan.py -w RUN_OR_FILE -- scene=my_scenes/train/kitchen \\
              data.num_classes=20
          the sides the other way round: -- data.train.side=high data.test.side=low
          where the plane is: -- axis=x (y, long) share=0.5 (of the points below it) margin=0.5 (metres left out)
          without weights, the baselines only: -- test.networks=[]
Data:     a scan that load_scene reads, with segment; labels 0 .. num_classes - 1, -1 unknown.
Hardware: two CPU cores, two minutes a row.
Expected: docs/results/probes.md. One scan is one sample: compare rows of one table, not tables.
"""

_base_ = ["_base_/runtime.py", "_base_/hunet_small.py"]  # the network: of test.networks=[] alone

scene = "data/scan"
axis = "long"
share = 0.5
margin = 0.5
grid_size = 0.04
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMProbeTester",
    probes=("knn", "linear"),
    points_per_scene=20000,
    test_points=20000,
    seeds=(0, 1, 2),
)
data = dict(
    num_classes=20,
    train=dict(type="MSMSceneHalfDataset", scene="data/scan", side="low", axis="long", share=0.5, margin=0.5),
    test=dict(type="MSMSceneHalfDataset", scene="data/scan", side="high", axis="long", share=0.5, margin=0.5),
)
