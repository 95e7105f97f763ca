"""Ablation of pretrain-scannet-4cm: smooth L1 distance to the target in place of finding it among others (info_nce).

Command:  sh tools/train.sh -c configs/msm/ablation-smooth-l1.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(loss=dict(kind="smooth_l1"))
