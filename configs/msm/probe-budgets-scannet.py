"""Few labels on ScanNet: linear probes on 1, 5, 10 and 20 % of the train scenes, and on 20, 50, 100 and 200 points
a scene.

Command:  sh tools/test.sh -c configs/msm/probe-budgets-scannet.py -w exp/msm/pretrain-scannet
Data:     data/scannet in Pointcept's format. Scenes and points are drawn by us; the benchmark's own lists are others.
Hardware: as probe-scannet.py; not run on a GPU by us yet.
Expected: scenes 35.1, 54.5, 61.5, 63.5; points 62.9, 65.9, 67.3, 68.1 mIoU, figures reported for MSM by others on the
          benchmark's lists; ours are not known yet.
"""

_base_ = ["probe-scannet.py"]

test = dict(probes=("linear", "budgets"), seeds=(0, 1, 2))
