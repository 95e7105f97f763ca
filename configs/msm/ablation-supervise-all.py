"""Ablation of pretrain-scannet-4cm: masked voxels and visible ones are supervised.

Command:  sh tools/train.sh -c configs/msm/ablation-supervise-all.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(supervise="all")
