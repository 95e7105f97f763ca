"""Ablation of pretrain-scannet-4cm: a linear predictor.

Command:  sh tools/train.sh -c configs/msm/ablation-predictor-linear.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(predictor="linear")
