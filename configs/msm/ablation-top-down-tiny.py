"""Ablation of pretrain-rooms-tiny: masked voxels enter the encoder with a token (Table 10c).

Command:  sh tools/train.sh -c configs/msm/ablation-top-down-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-top-down-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(mask_strategy="top_down")
