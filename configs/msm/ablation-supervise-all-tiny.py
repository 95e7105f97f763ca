"""Ablation of pretrain-rooms-tiny: masked voxels and visible ones are supervised.

Command:  sh tools/train.sh -c configs/msm/ablation-supervise-all-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-supervise-all-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(supervise="all")
