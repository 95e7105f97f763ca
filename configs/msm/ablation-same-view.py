"""Ablation of pretrain-scannet-4cm: the target comes from the student's own view.

Command:  sh tools/train.sh -c configs/msm/ablation-same-view.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(target_view="same")
