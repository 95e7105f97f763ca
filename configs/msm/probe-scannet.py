"""Judging features on ScanNet: kNN and linear probes, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probe-scannet.py -w exp/msm/pretrain-scannet
          (-w: a run's folder, or one exported .safetensors; -- test.supervised=FILE adds a supervised network's row)
          Levels (Table 11):        -- test.probes=[linear,layers] test.baselines=[random]
          Few labels (Tables 4, 5): -- test.probes=[linear,budgets] test.seeds=[0,1,2]
          Instances (Table 16):     -- test.probes=[instance] test.scenes=200 test.points_per_scene=10000 \\
                                       test.test_points=10000
Data:     data/scannet in Pointcept's format.
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: the paper's numbers, by a protocol of its own; ours are not known yet. mIoU on val: linear 68.7, kNN 65.7.
          Levels alone 28.3, 43.5, 54.8, 62.8, 62.4 fine to coarse; all but it 67.1, 67.0, 67.0, 66.6, 64.4.
          1, 5, 10, 20 % of the scenes: 35.1, 54.5, 61.5, 63.5; 20, 50, 100, 200 points a scene: 62.9, 65.9, 67.3,
          68.1, on the benchmark's lists (ours are drawn). Instances: 44.4 AP50, with a head trained by SGD.
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
    things=tuple(range(2, 20)),  # of the instance probe: all but wall and floor
    min_points=7,  # the benchmark's 100 points of a typical 150,000
)
data = dict(
    num_classes=20,
    train=dict(type="ScanNetDataset", split="train", data_root="data/scannet"),
    test=dict(type="ScanNetDataset", split="val", data_root="data/scannet"),
)
