"""Ablation of pretrain-rooms-tiny: no predictor.

Command:  sh tools/train.sh -c configs/msm/ablation-predictor-none-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-predictor-none-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(predictor="none")
