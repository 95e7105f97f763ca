"""Ablation of pretrain-rooms-tiny: visible voxels are supervised and no token is used.

Command:  sh tools/train.sh -c configs/msm/ablation-visible-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-visible-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(supervise="visible")
