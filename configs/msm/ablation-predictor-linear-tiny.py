"""Ablation of pretrain-rooms-tiny: a linear predictor.

Command:  sh tools/train.sh -c configs/msm/ablation-predictor-linear-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-predictor-linear-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(predictor="linear")
