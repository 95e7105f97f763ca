"""Ablation of pretrain-scannet-4cm: no predictor.

Command:  sh tools/train.sh -c configs/msm/ablation-predictor-none.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(predictor="none")
