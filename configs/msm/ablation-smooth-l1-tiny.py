"""Ablation of pretrain-rooms-tiny: smooth L1 distance to the target in place of finding it among others (info_nce).

Command:  sh tools/train.sh -c configs/msm/ablation-smooth-l1-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-smooth-l1-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(loss=dict(kind="smooth_l1"))
