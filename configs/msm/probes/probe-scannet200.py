"""Judging features on ScanNet200: kNN and linear probes, beside random initialisation and raw input.

Command:  sh tools/test.sh -c configs/msm/probes/probe-scannet200.py -w exp/msm/pretrain-scannet
          Few labels, levels, instances: the options of probe-scannet.py.
Data:     data/scannet in Pointcept's format.
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: the paper's numbers, by a protocol of its own; ours are not known yet. mIoU on val: linear 26.8, kNN 22.7.
          Instances: 8.8 AP50, with a head trained by SGD.
"""

_base_ = ["../probe-scannet.py"]

test = dict(things=(1, *range(3, 200)))  # all but wall and floor
data = dict(
    num_classes=200,
    train=dict(type="ScanNet200Dataset"),
    test=dict(type="ScanNet200Dataset"),
)
