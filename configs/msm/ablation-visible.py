"""Ablation of pretrain-scannet-4cm: visible voxels are supervised and no token is used.

Command:  sh tools/train.sh -c configs/msm/ablation-visible.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(supervise="visible")
