"""Ablation of pretrain-rooms-tiny: larger mask patches.

Command:  sh tools/train.sh -c configs/msm/ablation-patch-size-tiny.py
          (other values: -n NAME -- model.mask_patch=0.16)
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-patch-size-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(mask_patch=0.64)
